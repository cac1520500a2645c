// Work beside work: forks, joins and the tape's way back over several streams, on a backend that runs them in unkind orders.
#include "complaints.h"
#include "core_philox.h"
#include "core_streams.h"
#include "device.h"
#include "gradcheck.h"
#include "ops.h"
#include "queued_backend.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

namespace {

constexpr Order orders[] = {Order::main_first, Order::sides_first, Order::shuffled, Order::shuffled, Order::shuffled, Order::shuffled};

const Shape shape{2, 3, 2, 4};

Var leaf(Backend& backend, const HostTensor& values) { return Var(Tensor::from_host(backend, values.shape, values.values), true); }

using Results = std::vector<std::vector<float>>;
using Step = std::function<Results(Backend&)>;

/// `run` gives on queued streams what it gives on the CPU, to the bit, in every order and again in a second step.
void check_like_cpu(const Step& run) {
    const auto plain = make_backend("cpu");
    const Results expected = run(*plain);
    uint32_t seed = 0;
    for (const Order order : orders) {
        QueuedBackend queued(order, ++seed);
        for (int step = 0; step < 2; ++step) {
            queued.arena().begin_step();
            CHECK(run(queued) == expected);
        }
    }
}

/// Loss and gradients of a graph over two inputs and a shared weight.
Results back(Backend& backend, const std::function<Var(const Var&, const Var&, const Var&)>& graph) {
    const Var a = leaf(backend, off_zero_input("a", shape)), b = leaf(backend, off_zero_input("b", shape));
    const Var w = leaf(backend, uniform_input("w", {4, 3, 3, 4}, -0.3f, 0.3f));
    Tape tape;
    Var loss;
    {
        const Recording on(&tape);
        loss = mean(graph(a, b, w));
    }
    tape.backward(loss);
    CHECK(backend.current_stream() == 0);
    Results found{loss.value().to_host()};
    for (const Var& v : {a, b, w})
        if (v.node().has_gradient) found.push_back(v.node().gradient.to_host());
    return found;
}

const Conv2dOptions padded{1, 1, 1, 1, 1};

/// A few smooth steps that depend on the draw; all keep the shape.
Var chain(Var x, const Var& w, uint64_t key, int steps) {
    for (int i = 0; i < steps; ++i) switch (philox(key, static_cast<uint64_t>(i)).v[0] % 5) {
            case 0: x = tanh(x); break;
            case 1: x = add(sigmoid(x), x); break;
            case 2: x = conv2d(x, w, padded); break;
            case 3: x = mul(x, x); break;
            default: x = softmax(x);
        }
    return x;
}

}  // namespace

TEST_CASE("streams: what is not joined goes wrong on the stand-in, so it does find such mistakes") {
    const HostTensor values = off_zero_input("a", shape);
    const auto sum = [&](Order order, bool joined) {
        QueuedBackend backend(order);
        const Var x(Tensor::from_host(backend, shape, values.values));
        Var side;
        {
            const OnStream beside(backend, 1);
            Tensor(backend, shape).zero();  // where `side` will lie: fresh memory may hold the right answer by chance
            backend.synchronize();
            side = tanh(x);
        }
        if (joined) join(backend);
        return add(side, x).value().to_host();
    };
    const auto plain = make_backend("cpu");
    const Var x(Tensor::from_host(*plain, shape, values.values));
    const std::vector<float> expected = add(tanh(x), x).value().to_host();
    for (const Order order : orders) CHECK(sum(order, true) == expected);
    CHECK(sum(Order::main_first, false) != expected);
}

TEST_CASE("streams: what is made beside is waited for where it is first looked at, and what follows from it stays beside") {
    check_like_cpu([](Backend& backend) {
        const Var x(Tensor::from_host(backend, shape, off_zero_input("a", shape).values));
        const auto made = [&] {
            const OnStream beside(backend, 1);
            return Beside<Var>(backend, 1, tanh(x));
        }();
        const auto squared = made.then([](const Var& y) { return mul(y, y); });
        const Var meanwhile = relu(x);
        CHECK(made.unjoined().shape() == shape);
        return Results{add(meanwhile, squared.get()).value().to_host(), add(*made, made.get()).value().to_host(),
                       squared->value().to_host()};
    });
}

TEST_CASE("streams: scopes do not nest, and streams count from 0") {
    const auto backend = make_backend("cpu");
    {
        const OnStream outer(*backend, 2);
        CHECK(backend->current_stream() == 2);
        CHECK(says(complaint<std::runtime_error>([&] { const OnStream inner(*backend, 1); }), {"stream 1 inside stream 2"}));
    }
    CHECK(backend->current_stream() == 0);
    CHECK(says(complaint<std::runtime_error>([&] { const OnStream main(*backend, 0); }), {"side streams count from 1"}));
    CHECK(says(complaint<std::runtime_error>([&] { backend->use_stream(-1); }), {"streams count from 0"}));
}

TEST_CASE("streams: a value made on stream 0 and read beside it is not overwritten meanwhile") {
    check_like_cpu([](Backend& backend) {
        Var x(Tensor::from_host(backend, shape, off_zero_input("a", shape).values));
        Var side;
        {
            const OnStream beside(backend, 1);
            side = tanh(x);
        }
        x = Var();  // given back under its own stream, while the side stream may not have read it
        const Var other(Tensor::from_host(backend, shape, off_zero_input("b", shape).values));
        const Var both = mul(relu(other), sigmoid(other));
        join(backend);
        return Results{add(side, both).value().to_host()};
    });
}

TEST_CASE("streams: branches of one trunk go back on their streams, and add to one gradient in order") {
    check_like_cpu([](Backend& backend) {
        return back(backend, [](const Var& a, const Var& b, const Var& w) {
            Backend& on = a.backend();
            const Var trunk = tanh(conv2d(a, w, padded));
            std::vector<Var> branches;
            for (int side = 1; side <= 3; ++side) {
                const OnStream beside(on, side);
                branches.push_back(chain(trunk, w, static_cast<uint64_t>(side), 4));  // trunk and weight serve three times
            }
            const Var own = mul(sigmoid(trunk), b);
            join(on);
            Var sum = own;
            for (const Var& branch : branches) sum = add(sum, mul(branch, own));
            return sum;
        });
    });
}

TEST_CASE("streams: what one side stream made another may read after a join, and its gradient comes back in order") {
    check_like_cpu([](Backend& backend) {
        return back(backend, [](const Var& a, const Var& b, const Var& w) {
            Backend& on = a.backend();
            Var first, second;
            {
                const OnStream beside(on, 1);
                first = chain(conv2d(a, w, padded), w, 7, 3);
            }
            join(on);
            {
                const OnStream beside(on, 2);
                second = mul(conv2d(first, w, padded), tanh(first));
            }
            {
                const OnStream beside(on, 1);
                first = add(tanh(first), first);
            }
            join(on);
            return add(mul(first, b), second);
        });
    });
}

TEST_CASE("streams: random graphs over random streams") {
    for (uint64_t seed = 0; seed < 25; ++seed) {
        CAPTURE(seed);
        check_like_cpu([seed](Backend& backend) {
            return back(backend, [seed](const Var& a, const Var& b, const Var& w) {
                Backend& on = a.backend();
                uint64_t draws = 0;
                const auto below = [&](uint32_t n) { return philox(seed, draws++).v[0] % n; };
                std::vector<Var> known{a, b};  // joined: anyone may read them
                for (int round = 0; round < 4; ++round) {
                    const auto pick = [&] { return known[below(static_cast<uint32_t>(known.size()))]; };
                    std::vector<Var> made;
                    for (uint32_t branch = 0, count = 1 + below(3); branch < count; ++branch) {
                        const Var x = pick(), y = pick();
                        const int side = static_cast<int>(below(4));
                        const uint64_t key = 100 * seed + draws;
                        const auto work = [&] { made.push_back(chain(below(2) ? add(x, y) : mul(x, y), w, key, 3)); };
                        if (side == 0) {
                            work();
                        } else {
                            const OnStream beside(on, side);
                            work();
                        }
                    }
                    if (below(2)) known.erase(known.begin());  // given back while others may read it
                    join(on);
                    known.insert(known.end(), made.begin(), made.end());
                }
                Var sum = known[0];
                for (const Var& v : known) sum = add(sum, v);
                return sum;
            });
        });
    }
}

TEST_SUITE_END();
