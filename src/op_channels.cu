// Operations on the channels of each pixel: joined, cut, padded, shuffled; and samples joined.
#include "base_error.h"
#include "launch.h"
#include "ops.h"

namespace distill {
namespace {

/// What a copy makes of its place in y and of the channels beside it: it writes the one and leaves the others, makes these 0, or adds.
enum class Into { place, cleared, added };

/// y[p, to + j] = x[p, from + j] for j < count. A row is an image line.
template <class T>
struct CopyChannels {
    int pixels, count;
    int x_channels, from, y_channels, to;
    Into into;
    const T* x;
    T* y;
    template <class Lane>
    DISTILL_HD void operator()(int64_t line, const Lane& lane) const {
        const int xc = x_channels, yc = y_channels, after = to + count;
        const T* in = x + line * pixels * xc + from;
        T* out = y + line * pixels * yc;
        T* part = out + to;
        if (into == Into::added) {
            lane.grid(pixels, count, [=](int i, int j) { part[i * yc + j] = part[i * yc + j] + in[i * xc + j]; });
            return;
        }
        lane.grid(pixels, count, [=](int i, int j) { part[i * yc + j] = in[i * xc + j]; });
        if (into == Into::place) return;
        lane.grid(pixels, to, [=](int i, int j) { out[i * yc + j] = 0; });
        lane.grid(pixels, yc - after, [=](int i, int j) { out[i * yc + after + j] = 0; });
    }
};

int as_int(int64_t v) { return static_cast<int>(v); }

void copy_channels(const Tensor& x, int64_t from, const Tensor& y, int64_t to, int64_t count, Into into) {
    const Shape &xs = x.shape(), &ys = y.shape();
    with_type(x.type(), [&](auto t) {
        using T = decltype(t);
        const CopyChannels<T> copy{as_int(ys.w), as_int(count), as_int(xs.c), as_int(from), as_int(ys.c),
                                   as_int(to),   into,          x.as<T>(),    y.as<T>()};
        for_each_row(y.backend(), ys.n * ys.h, ys.w * (into == Into::cleared ? ys.c : count), copy);
    });
}

/// Channel j·groups + i of y is channel i·(C/groups) + j of x, or, `back`, the other way round. A row is an image line.
template <class T>
struct ShuffleChannels {
    int pixels, of_group, groups;
    bool back;
    const T* x;
    T* y;
    template <class Lane>
    DISTILL_HD void operator()(int64_t line, const Lane& lane) const {
        const int n = of_group, g = groups, c = n * g;
        const T* in = x + line * pixels * c;
        T* out = y + line * pixels * c;
        if (back)
            lane.grid(pixels, n, [=](int pixel, int j) {
                for (int i = 0; i < g; ++i) out[pixel * c + i * n + j] = in[pixel * c + j * g + i];
            });
        else
            lane.grid(pixels, n, [=](int pixel, int j) {
                for (int i = 0; i < g; ++i) out[pixel * c + j * g + i] = in[pixel * c + i * n + j];
            });
    }
};

void shuffle_channels(const Tensor& x, int groups, bool back, const Tensor& y) {
    const Shape& s = x.shape();
    const int pixels = as_int(s.w), of_group = as_int(s.c) / groups;
    with_type(x.type(), [&](auto t) {
        using T = decltype(t);
        for_each_row(x.backend(), s.n * s.h, s.w * s.c, ShuffleChannels<T>{pixels, of_group, groups, back, x.as<T>(), y.as<T>()});
    });
}

/// y[p, 2j] = a[p, j], y[p, 2j + 1] = b[p, j]. A row is an image line.
template <class T>
struct Interleave {
    int pixels, channels;
    const T *a, *b;
    T* y;
    template <class Lane>
    DISTILL_HD void operator()(int64_t line, const Lane& lane) const {
        const int64_t first = line * pixels * channels;
        const T *even = a + first, *odd = b + first;
        T* out = y + 2 * first;
        lane.each(pixels * channels, [=](int64_t i) { out[2 * i] = even[i], out[2 * i + 1] = odd[i]; });
    }
};

/// The way back, of a gradient; where one of the two is not wanted, it is null.
template <class T>
struct Separate {
    int pixels, channels;
    const T* dy;
    T *da, *db;
    template <class Lane>
    DISTILL_HD void operator()(int64_t line, const Lane& lane) const {
        const int64_t first = line * pixels * channels;
        const int n = pixels * channels;
        const T* in = dy + 2 * first;
        T *even = da ? da + first : nullptr, *odd = db ? db + first : nullptr;
        if (da && db)
            lane.each(n, [=](int64_t i) { even[i] = in[2 * i], odd[i] = in[2 * i + 1]; });
        else if (da)
            lane.each(n, [=](int64_t i) { even[i] = in[2 * i]; });
        else
            lane.each(n, [=](int64_t i) { odd[i] = in[2 * i + 1]; });
    }
};

bool same_pixels(const Shape& a, const Shape& b) { return a.n == b.n && a.h == b.h && a.w == b.w; }

}  // namespace

Var concat_channels(const Var& a, const Var& b) {
    const Shape sa = a.shape(), sb = b.shape();
    if (!same_pixels(sa, sb))
        failure("concat_channels: shapes ", to_string(sa), " and ", to_string(sb),
                " must agree in all but the last extent ---> resize_nearest or adaptive_avg_pool one of them");
    if (a.type() != b.type()) return concat_channels(to_float(a), to_float(b));
    const Shape sy{sa.n, sa.h, sa.w, sa.c + sb.c};
    Var y = result_of(Tensor(a.backend(), sy, a.type()), a, b);
    copy_channels(a.value(), 0, y.value(), 0, sa.c, Into::place);
    copy_channels(b.value(), 0, y.value(), sa.c, sb.c, Into::place);
    record(y, [a, b, y] {
        const Tensor dy = take_gradient(y);
        const int64_t in_a = a.shape().c, in_b = b.shape().c;
        {
            const GradTarget da(a);
            if (da.wanted()) copy_channels(dy, 0, da.tensor(), 0, in_a, Into::place);
        }
        const GradTarget db(b);
        if (db.wanted()) copy_channels(dy, in_a, db.tensor(), 0, in_b, Into::place);
    });
    return traced("concat_channels", y, {&a, &b});
}

Var shuffle_channels(const Var& x, int groups) {
    if (groups < 1 || x.shape().c % groups != 0)
        failure("shuffle_channels: ", x.shape().c, " channels in ", groups, " groups ---> make the channels a multiple of the groups");
    if (groups == 1) return x;
    Var y = result_of(Tensor(x.backend(), x.shape(), x.type()), x);
    shuffle_channels(x.value(), groups, false, y.value());
    record(y, [x, y, groups] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x);
        if (dx.wanted()) shuffle_channels(dy, groups, true, dx.tensor());
    });
    return traced("shuffle_channels", y, {&x}, {}, {{"groups", groups}});
}

Var interleave_channels(const Var& a, const Var& b) {
    const Shape s = a.shape();
    if (s != b.shape() || a.type() != b.type())
        failure("interleave_channels: shapes ", to_string(s), " and ", to_string(b.shape()), " and their types must be equal");
    Var y = result_of(Tensor(a.backend(), {s.n, s.h, s.w, 2 * s.c}, a.type()), a, b);
    const int pixels = as_int(s.w), channels = as_int(s.c);
    with_type(a.type(), [&](auto t) {
        using T = decltype(t);
        for_each_row(a.backend(), s.n * s.h, 2 * s.w * s.c, Interleave<T>{pixels, channels, a.as<T>(), b.as<T>(), y.as<T>()});
    });
    record(y, [a, b, y, pixels, channels] {
        const Tensor dy = take_gradient(y);
        const GradTarget da(a), db(b);
        const Shape& of = a.shape();
        with_type(a.type(), [&](auto t) {
            using T = decltype(t);
            const Separate<T> separate{pixels, channels, dy.as<T>(), da.as<T>(), db.as<T>()};
            for_each_row(a.backend(), of.n * of.h, 2 * of.w * of.c, separate);
        });
    });
    return traced("interleave_channels", y, {&a, &b});
}

Var slice_channels(const Var& x, int64_t first, int64_t count) {
    const Shape s = x.shape(), sy{s.n, s.h, s.w, count};
    if (first < 0 || count < 1 || first + count > s.c)
        failure("slice_channels: channels ", first, " to ", first + count, " for shape ", to_string(sy), " do not lie in ", to_string(s),
                " ---> expected 0 <= first, 1 <= count and first + count <= ", s.c);
    if (count == s.c) return x;
    Var y = result_of(Tensor(x.backend(), sy, x.type()), x);
    copy_channels(x.value(), first, y.value(), 0, count, Into::place);
    record(y, [x, y, first] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x, true);
        if (dx.wanted()) copy_channels(dy, 0, dx.tensor(), first, y.shape().c, dx.adds() ? Into::added : Into::cleared);
    });
    return traced("slice_channels", y, {&x}, {}, {{"first", static_cast<double>(first)}, {"count", static_cast<double>(count)}});
}

Var pad_channels(const Var& x, int64_t before, int64_t after) {
    const Shape s = x.shape(), sy{s.n, s.h, s.w, before + s.c + after};
    if (before < 0 || after < 0)
        failure("pad_channels: shape ", to_string(s), " cannot become ", to_string(sy), " ---> slice_channels takes channels away");
    if (before + after == 0) return x;
    Var y = result_of(Tensor(x.backend(), sy, x.type()), x);
    copy_channels(x.value(), 0, y.value(), before, s.c, Into::cleared);
    record(y, [x, y, before] {
        const Tensor dy = take_gradient(y);
        const GradTarget dx(x);
        if (dx.wanted()) copy_channels(dy, before, dx.tensor(), 0, x.shape().c, Into::place);
    });
    return traced("pad_channels", y, {&x}, {}, {{"before", static_cast<double>(before)}, {"after", static_cast<double>(after)}});
}

Var concat_samples(const Var& a, const Var& b) {
    const Shape s = a.shape(), t = b.shape();
    if (s.h != t.h || s.w != t.w || s.c != t.c)
        failure("concat_samples: shapes ", to_string(s), " and ", to_string(t), " must agree in all but the first extent");
    if (a.type() != b.type()) return concat_samples(to_float(a), to_float(b));
    Var y = result_of(Tensor(a.backend(), {s.n + t.n, s.h, s.w, s.c}, a.type()), a, b);
    y.value().view(0, s).copy_from(a.value());
    y.value().view(s.size(), t).copy_from(b.value());
    record(y, [a, b, y] {
        const Tensor dy = take_gradient(y);
        give_gradient(a, dy.view(0, a.shape()));
        give_gradient(b, dy.view(a.shape().size(), b.shape()));
    });
    return y;
}

Var flatten(const Var& x) {
    const Shape s = x.shape();
    Var y = result_of(x.value().reshaped({s.n, 1, 1, s.per_sample()}), x);
    record(y, [x, y] { give_gradient(x, take_gradient(y).reshaped(x.shape())); });
    return traced("flatten", y, {&x});
}

}  // namespace distill
