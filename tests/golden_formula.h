// golden_formula.h: the numbers that tests/golden/make_fixtures.py fills tensors with (its header is the reference), and what its
// CSV files say about a tensor.
// defines: golden_hash, golden_value, golden_values, golden_weights, golden_batch, shape_from_file, to_nhwc, to_nchw, Projection,
//          GoldenTable
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base_csv.h"
#include "base_texts.h"
#include "core_philox.h"
#include "data_loader.h"
#include "net_parameters.h"
#include "testing.h"

namespace distill::testing {

// ---- the formula -------------------------------------------------------------------------------------------------------------------
inline uint64_t golden_hash(const std::string& name, uint64_t i) { return mix_bits(hash_name(name) + i); }
inline double golden_value(const std::string& name, uint64_t i) {  ///< in [-1, 1)
    return 2 * (static_cast<double>(golden_hash(name, i) >> 40) * std::ldexp(1.0, -24)) - 1;
}
inline std::vector<float> golden_values(const std::string& name, int64_t n) {
    std::vector<float> values;
    for (int64_t i = 0; i < n; ++i) values.push_back(static_cast<float>(golden_value(name, static_cast<uint64_t>(i))));
    return values;
}

/// The weights of what `p` holds under `prefix`, named without it, for from_file(…, prefix). The formula sees each name after `seen_as`
/// ("student."). A teacher's running statistics keep its activations O(1).
inline WeightFile golden_weights(const Parameters& p, const std::string& prefix, const std::string& seen_as, bool teacher = false) {
    WeightFile file;
    file.tensors = p.to_file(prefix);
    for (auto& [name, tensor] : file.tensors) {
        double centre = 0, spread = 1;
        if (ends_with(name, ".running_mean"))
            spread = teacher ? 0.1 : 0;
        else if (ends_with(name, ".running_var"))
            centre = teacher ? 4 : 1, spread = teacher ? 0.8 : 0;
        else if (ends_with(name, ".bias"))
            spread = 0.1;
        else if (tensor.shape.size() == 1)
            centre = 1, spread = 0.2;
        else
            spread = std::sqrt(6.0 / (static_cast<double>(tensor.data.size()) / static_cast<double>(tensor.shape[0])));  // fan in
        for (size_t i = 0; i < tensor.data.size(); ++i)
            tensor.data[i] = static_cast<float>(centre + spread * golden_value(seen_as + name, i));
    }
    return file;
}

// ---- layouts: a shape is always ours, only the order of the values differs -----------------------------------------------------------
/// PyTorch's extents in our order: N,C,H,W (or O,I,kh,kw), rows and columns, or a vector's length.
inline Shape shape_from_file(const std::vector<int64_t>& extents) {
    if (extents.size() == 1) return {1, 1, 1, extents[0]};
    if (extents.size() == 2) return {extents[0], 1, 1, extents[1]};
    REQUIRE(extents.size() == 4);
    return {extents[0], extents[2], extents[3], extents[1]};
}
/// PyTorch's N,C,H,W (or O,I,kh,kw) into ours; a matrix or a vector stays as it is.
inline std::vector<float> to_nhwc(const std::vector<float>& from, const Shape& s) {
    std::vector<float> to(from.size());
    for (int64_t n = 0, i = 0; n < s.n; ++n)
        for (int64_t c = 0; c < s.c; ++c)
            for (int64_t pixel = 0; pixel < s.h * s.w; ++pixel, ++i)
                to[static_cast<size_t>((n * s.h * s.w + pixel) * s.c + c)] = from[static_cast<size_t>(i)];
    return to;
}
inline std::vector<float> to_nchw(const Tensor& t) {
    const Shape& s = t.shape();
    const std::vector<float> from = t.to_host();
    std::vector<float> to(from.size());
    for (int64_t n = 0, i = 0; n < s.n; ++n)
        for (int64_t c = 0; c < s.c; ++c)
            for (int64_t pixel = 0; pixel < s.h * s.w; ++pixel, ++i)
                to[static_cast<size_t>(i)] = from[static_cast<size_t>((n * s.h * s.w + pixel) * s.c + c)];
    return to;
}

/// Step `step` of the fixtures' training: 8 of 80 images, 100 classes.
inline Batch golden_batch(Backend& backend, int64_t step, int64_t side = 32) {
    constexpr double mean[3] = {125.3, 123.0, 113.9}, std[3] = {63.0, 62.1, 66.7};
    const Shape s{8, side, side, 3};
    std::vector<float> images(static_cast<size_t>(s.size()));
    for (size_t i = 0; i < images.size(); ++i) {
        const auto pixel = static_cast<double>(golden_hash("images", static_cast<uint64_t>(step * s.size()) + i) >> 56);
        const size_t channel = i / static_cast<size_t>(side * side) % 3;
        images[i] = static_cast<float>((pixel - mean[channel]) / std[channel]);
    }
    std::vector<int32_t> labels;
    for (int64_t n = step * s.n; n < (step + 1) * s.n; ++n)
        labels.push_back(static_cast<int32_t>(golden_hash("labels", static_cast<uint64_t>(n)) % 100));
    Batch batch{Var(Tensor::from_host(backend, s, to_nhwc(images, s))), Tensor::integers(backend, {s.n, 1, 1, 1})};
    batch.labels.upload(labels.data());
    return batch;
}

// ---- what the CSV files say ----------------------------------------------------------------------------------------------------------
/// A tensor as two numbers: its dot product with the probe of that name, and its Euclidean norm.
struct Projection {
    double value = 0, norm = 0;
    Projection(const std::vector<float>& values, const std::string& probe) {
        for (size_t i = 0; i < values.size(); ++i) {
            const auto v = static_cast<double>(values[i]);
            value += v * golden_value(probe, i);
            norm += v * v;
        }
        norm = std::sqrt(norm);
    }
};

/// A CSV of (case, setup, quantity, value, norm, value_f64); counts what was compared, so that a test can insist on every row.
class GoldenTable {
  public:
    explicit GoldenTable(const std::string& name) : csv_(read_csv(golden(name))), seen_(csv_.rows.size()) {}

    /// |value − value_f64| and |norm − norm'| within `tolerance` of the norm; an expected norm of 0 asks for equality.
    void check(const std::string& name, const std::string& quantity, double value, double norm, double tolerance) {
        const size_t row = find(name, quantity);
        const double expected = csv_.cell_number(row, "value_f64"), expected_norm = csv_.cell_number(row, "norm");
        const double off = std::max(std::fabs(value - expected), std::fabs(norm - expected_norm));
        const double relative = off == 0 ? 0 : off / expected_norm;
        CHECK_MESSAGE(relative <= tolerance, csv_.path.filename().string(), ", ", name, ", ", quantity, ": found ", value, " (norm ", norm,
                      "), expected ", expected, " (norm ", expected_norm, "), relative difference ", relative);
        if (!(relative <= worst_)) worst_ = relative, where_ = name + " " + quantity;
    }
    void check(const std::string& name, const std::string& quantity, const std::vector<float>& values, double tolerance) {
        const std::string tensor = quantity.rfind("grad.", 0) == 0 ? quantity.substr(5) : quantity;
        const Projection p(values, name + "." + tensor + ".probe");
        check(name, quantity, p.value, p.norm, tolerance);
    }
    /// The shape of a case's input, in our order: "x 2x3x7x5; w 4" has x (2,7,5,3) and w (1,1,1,4).
    Shape shape_of(const std::string& name, const std::string& input) const {
        for (const auto& row : csv_.rows) {
            if (row[csv_.column("case")] != name) continue;
            const std::string setup = "; " + row[csv_.column("setup")] + ";";
            const size_t begin = setup.find("; " + input + " ");
            REQUIRE_MESSAGE(begin != std::string::npos, name, " has no input ", input);
            std::vector<int64_t> extents;
            for (size_t at = begin + input.size() + 3, used = 0;; at += used + 1) {
                extents.push_back(std::stoll(setup.substr(at), &used));
                if (setup[at + used] != 'x') break;
            }
            return shape_from_file(extents);
        }
        FAIL("no case ", name);
        return {};
    }
    /// Every row was compared; prints the worst difference.
    void finish() const {
        for (size_t row = 0; row < seen_.size(); ++row)
            CHECK_MESSAGE(seen_[row], csv_.path.filename().string(), ": no test compares ", csv_.cell(row, "case"), ", ",
                          csv_.cell(row, "quantity"));
        MESSAGE(csv_.path.filename().string(), ": worst relative difference ", worst_, " (", where_, ")");
    }

  private:
    size_t find(const std::string& name, const std::string& quantity) {
        for (size_t row = 0; row < seen_.size(); ++row) {
            if (csv_.cell(row, "case") != name || csv_.cell(row, "quantity") != quantity) continue;
            seen_[row] = true;
            return row;
        }
        FAIL(csv_.path.filename().string(), " has no row ", name, ", ", quantity);
        return 0;
    }
    CsvTable csv_;
    std::vector<bool> seen_;
    double worst_ = 0;
    std::string where_ = "-";
};

}  // namespace distill::testing
