#include "base_verdict.h"

#include <cmath>

#include "base_error.h"
#include "base_texts.h"

namespace distill {
namespace {

/// Regularised incomplete beta function by its continued fraction (DLMF 8.17.22), evaluated with Lentz's method; it converges fast for
/// x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
    constexpr double tiny = 1e-300, enough = 1e-15;
    const auto away_from_zero = [](double v) { return std::abs(v) < tiny ? tiny : v; };
    double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1)), product = d;
    for (int m = 1; m <= 10000; ++m) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double factor = 1;
        for (const double step : {even, odd}) {
            d = 1 / away_from_zero(1 + step * d);
            c = away_from_zero(1 + step / c);
            factor = c * d;
            product *= factor;
        }
        if (std::abs(factor - 1) < enough) break;
    }
    return std::exp(a * std::log(x) + b * std::log1p(-x) + std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b)) * product / a;
}

double incomplete_beta(double a, double b, double x) {
    if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
    return x < (a + 1) / (a + b + 2) ? beta_fraction(a, b, x) : 1 - beta_fraction(b, a, 1 - x);
}

/// `error`: the standard error of the difference, above 0.
void decide(Comparison& c, double error, double freedom) {
    const double reach = student_t_quantile(Comparison::level, freedom) * error;
    c.has_interval = true;
    c.low = c.difference - reach;
    c.high = c.difference + reach;
    c.p = student_t_p(c.difference / error, freedom);
    if (c.a.n < Comparison::fewest || c.b.n < Comparison::fewest)
        c.undecided = text("fewer than ", Comparison::fewest, " runs a side");
    else if (c.p >= Comparison::level)
        c.undecided = "the interval holds 0";
    else
        c.verdict = c.difference > 0 ? Verdict::holds : Verdict::does_not_hold;
}

}  // namespace

double student_t_p(double t, double freedom) { return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)); }

double student_t_quantile(double p, double freedom) {
    double low = 0, high = 1;
    while (student_t_p(high, freedom) > p) high *= 2;
    while (high - low > 1e-12 * high) {
        const double middle = (low + high) / 2;
        (student_t_p(middle, freedom) > p ? low : high) = middle;
    }
    return (low + high) / 2;
}

std::string to_string(Verdict verdict) {
    static const char* const names[] = {"holds", "does not hold", "not decided"};
    return names[static_cast<int>(verdict)];
}

std::string Comparison::interval() const { return has_interval ? signed_fixed(low) + " to " + signed_fixed(high) : "–"; }

Comparison compare_independent(const Spread& a, const Spread& b) {
    Comparison c;
    c.a = a, c.b = b;
    c.difference = a.mean - b.mean;
    if (a.n < 2 || b.n < 2) return c.undecided = text("fewer than ", Comparison::fewest, " runs a side"), c;
    if (!(a.deviation > 0 && b.deviation > 0)) return c.undecided = "the runs of a side are all equal", c;
    const auto of_mean = [](const Spread& s) { return s.deviation * s.deviation / static_cast<double>(s.n); };
    const double va = of_mean(a), vb = of_mean(b);
    const double freedom = (va + vb) * (va + vb) / (va * va / static_cast<double>(a.n - 1) + vb * vb / static_cast<double>(b.n - 1));
    decide(c, std::sqrt(va + vb), freedom);
    return c;
}

Comparison compare_paired(const std::vector<double>& a, const std::vector<double>& b) {
    if (a.size() != b.size()) failure("compare_paired: ", a.size(), " runs beside ", b.size());
    std::vector<double> differences;
    for (size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
    const Spread d = spread(differences);
    Comparison c;
    c.a = spread(a), c.b = spread(b), c.paired = true;
    c.difference = d.mean;
    if (d.n < 2) return c.undecided = text("fewer than ", Comparison::fewest, " runs a side"), c;
    // What sums of decimal fractions leave of equal differences is no spread.
    constexpr double nothing = 1e-9;
    if (!(c.a.deviation > 0 && c.b.deviation > 0)) return c.undecided = "the runs of a side are all equal", c;
    if (d.deviation < nothing) return c.undecided = "the differences are all equal", c;
    decide(c, d.deviation / std::sqrt(static_cast<double>(d.n)), static_cast<double>(d.n - 1));
    return c;
}

}  // namespace distill
