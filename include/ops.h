// ops.h: the operations networks and losses are made of. Each takes and returns Vars, checks its shapes (an exception names both
// and the rule), and while a tape records notes its backward pass. Shapes: x (N,H,W,C), matrices (rows,1,1,columns), scalars (1,1,1,1).
// Types: maps may be bfloat16 (Backend::activation_type); so are then the result and the gradients. Sums, and what is one value a
// channel, a row or a scalar, are float. Operations that know only floats say "in float" and cast what they are given; of two maps
// of different types the operation is done in float.
// A Trace is told of those that a network's evaluation is made of: conv2d, batchnorm_running, relu, add, linear, flatten, max_pool, avg_pool,
// global_avg_pool, subsample, and concat_, slice_, shuffle_, interleave_ and pad_channels.
// defines: Conv2dOptions, conv2d, conv_transpose2d, conv2d_inference, RunningStatistics, BatchNormOptions, batchnorm, batchnorm_running,
//          fold_batchnorm, cast, to_float, relu, leaky_relu, sigmoid, tanh, add, mul, scale, dropout, concat_channels, slice_channels,
//          concat_samples, shuffle_channels, interleave_channels, pad_channels, flatten, attention_fusion, PoolOptions, max_pool, avg_pool,
//          adaptive_avg_pool, global_avg_pool, resize_nearest, subsample, matmul, flow_matrix, linear, add_bias, softmax, cross_entropy, kl_divergence, mse, l1, boundary_loss,
//          mean, decoupled_divergence, gaussian_loss, attention_map, channel_kernel_distance, head_products, concat_heads,
//          draw_kept_heads, graph_divergence, cosine_loss, kernel_distance, distance_loss, angle_loss, neighbour_products,
//          similarity_divergence, l2_normalize, unit_distance, TurnedAttention, turn_attention, lift_channels, right_singular_vectors,
//          align_vectors, NegativeDraws, draw_negatives, contrast_loss, remember_rows, smoothed_rows, rows_of, info_nce, average_of_nearest,
//          correct_rows, count_correct, log_step, log_value
#pragma once
#include <cstdint>
#include <vector>

#include "op_autograd.h"
#include "op_trace.h"

namespace distill {

// ---- op_conv2d.cpp --------------------------------------------------------------------------------------------------------------
struct Conv2dOptions {
    int stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0, groups = 1;
};
/// y (N,OH,OW,K) = x (N,H,W,C) * w (K,R,S,C/groups) [+ bias (1,1,1,K)]. x and y are of the backend's activation type (x is cast to
/// it); w and its gradient are float, and w is rounded for the product.
Var conv2d(const Var& x, const Var& w, const Conv2dOptions& options = {}, const Var& bias = {});
/// What a convolution with these weights does to a gradient: x (N,OH,OW,K), w (K,R,S,C) → y (N,H,W,C), H = (OH − 1)·stride_h + R − 2·pad_h
/// + output_pad (PyTorch's conv_transpose2d, one group) [+ bias (1,1,1,C)]. output_pad: rows and columns more at the far ends, fewer than
/// the strides.
Var conv_transpose2d(const Var& x, const Var& w, const Conv2dOptions& options = {}, const Var& bias = {}, int output_pad = 0);
/// conv2d without a record, with + residual and ReLU in one pass: how a frozen, folded network runs. w may be rounded already.
Var conv2d_inference(const Var& x, const Var& w, const Tensor& bias, const Conv2dOptions& options, const Var& residual, bool relu);

// ---- op_batchnorm.cu (Ioffe & Szegedy 2015) ---------------------------------------------------------------------------------------
struct RunningStatistics {
    Tensor mean, variance;  ///< (1,1,1,C); both undefined: none are kept
};
struct BatchNormOptions {
    float epsilon = 1e-5f, momentum = 0.1f;
    bool relu = false;
};
/// y = γ·(x − mean)/√(var + ε) + β [+ residual] [then ReLU], mean and biased variance over N,H,W of this batch;
/// running ← (1−m)·running + m·batch, the variance unbiased there; of N·H·W = 1, which PyTorch refuses, they stay. γ, β (1,1,1,C); residual like
/// x, or undefined.
Var batchnorm(const Var& x, const Var& gamma, const Var& beta, const RunningStatistics& running, const BatchNormOptions& options = {},
              const Var& residual = {});
/// The same with the running statistics in place of the batch's (evaluation); differentiable in x, γ, β and residual.
Var batchnorm_running(const Var& x, const Var& gamma, const Var& beta, const RunningStatistics& running,
                      const BatchNormOptions& options = {}, const Var& residual = {});
/// Folds y = BN_running(conv(x, w) [+ bias]) into one convolution: w' = w·γ/√(var+ε) per output channel, bias' = β + (bias −
/// mean)·γ/√(var+ε). folded_w is of the backend's activation type. bias (1,1,1,K) or undefined.
void fold_batchnorm(const Tensor& w, const Tensor& gamma, const Tensor& beta, const RunningStatistics& running, float epsilon,
                    Tensor& folded_w, Tensor& folded_bias, const Tensor& bias = {});

// ---- op_elementwise.cu ----------------------------------------------------------------------------------------------------------------
Var cast(const Var& x, DType type);  ///< f32 or bf16; x itself if it is of that type
inline Var to_float(const Var& x) { return cast(x, DType::f32); }
Var relu(const Var& x);
Var leaky_relu(const Var& x, float slope);
Var sigmoid(const Var& x);
Var tanh(const Var& x);
Var add(const Var& a, const Var& b);  ///< same shapes
Var mul(const Var& a, const Var& b);  ///< elementwise, same shapes
Var scale(const Var& x, float factor);
Var scale(const Var& x, const Tensor& factor);  ///< factor: one float in device memory, read when the step runs
/// y = x·m / (1 − rate), m = 0 with probability `rate`; the draw of element i depends on (key, *counter, i) alone.
Var dropout(const Var& x, float rate, uint64_t key, const Tensor& counter);

// ---- op_channels.cu -------------------------------------------------------------------------------------------------------------------
Var concat_channels(const Var& a, const Var& b);                 ///< (N,H,W,Ca+Cb)
Var slice_channels(const Var& x, int64_t first, int64_t count);  ///< x[..., first : first+count]
Var concat_samples(const Var& a, const Var& b);                  ///< (Na+Nb,H,W,C)
/// y[..., j·groups + i] = x[..., i·(C/groups) + j]: each group of what follows gets some of each (ShuffleNet).
Var shuffle_channels(const Var& x, int groups);
/// y[..., 2j] = a[..., j], y[..., 2j+1] = b[..., j]: both joined and shuffled in 2 groups, in one pass. Of equal shapes and types.
Var interleave_channels(const Var& a, const Var& b);
Var pad_channels(const Var& x, int64_t before, int64_t after);  ///< zero channels on both sides
Var flatten(const Var& x);                                      ///< (N,1,1,H·W·C), no copy

// ---- op_fusion.cu ---------------------------------------------------------------------------------------------------------------------
/// x·z₀ + y·z₁, z = sigmoid(w·[x, y] + bias) at each pixel: ReviewKD's attention-based fusion (docs/papers.md §5.3). x, y (N,H,W,C);
/// w (2,1,1,2C), of a 1×1 convolution of both; bias of 2; these two in float whatever --precision says.
Var attention_fusion(const Var& x, const Var& y, const Var& w, const Var& bias);

// ---- op_pooling.cu --------------------------------------------------------------------------------------------------------------------
struct PoolOptions {
    int size = 2, stride = 2, pad = 0;
};
Var max_pool(const Var& x, const PoolOptions& options);
Var avg_pool(const Var& x, const PoolOptions& options);     ///< divides by size² also at the border (PyTorch's count_include_pad)
Var adaptive_avg_pool(const Var& x, int64_t h, int64_t w);  ///< cell i covers rows ⌊i·H/h⌋ … ⌈(i+1)·H/h⌉−1
Var global_avg_pool(const Var& x);                          ///< (N,1,1,C)
Var resize_nearest(const Var& x, int64_t h, int64_t w);     ///< y[i,j] = x[⌊i·H/h⌋, ⌊j·W/w⌋]
Var subsample(const Var& x, int stride);                    ///< every stride-th row and column from 0

// ---- op_linear.cpp: in float ----------------------------------------------------------------------------------------------------------
/// Matrices (rows,1,1,columns). `exact`: in float whatever --precision says, as losses are.
Var matmul(const Var& a, const Var& b, bool transpose_a = false, bool transpose_b = false, bool exact = false);
/// The flow of the solution procedure (FSP, docs/papers.md §6.6): topᵀ·bottom/(H·W) of each sample; (N,H,W,A), (N,H,W,B) → (N,1,A,B).
Var flow_matrix(const Var& top, const Var& bottom);
Var linear(const Var& x, const Var& w, const Var& bias = {});  ///< x (N,1,1,I), w (O,1,1,I), bias (1,1,1,O) → (N,1,1,O)

// ---- op_bias.cu -----------------------------------------------------------------------------------------------------------------------
Var add_bias(const Var& x, const Var& bias);  ///< bias (1,1,1,C) to every pixel of x (N,H,W,C)

// ---- op_softmax.cu: over the last extent, in float ------------------------------------------------------------------------------------
Var softmax(const Var& x);

// ---- op_losses.cu: each a float scalar (1,1,1,1); those of logits in float -------------------------------------------------------------
/// −mean over the batch of log softmax(logits)[label]; logits (N,1,1,K), labels N int32.
Var cross_entropy(const Var& logits, const Tensor& labels);
/// mean over the batch of Σ_k p_t·(log p_t − log p_s), p = softmax(logits/T); gradient into the student alone. No T² factor.
Var kl_divergence(const Var& student_logits, const Tensor& teacher_logits, float temperature);
Var mse(const Var& a, const Var& b);  ///< mean over all elements of (a−b)²
Var l1(const Var& a, const Var& b);   ///< mean over all elements of |a−b|
/// Σ over elements, mean over the batch, of (s+1)² where s > −1 and t ≤ 0, and (s−1)² where s ≤ 1 and t > 0: how far a student's
/// pre-activations s are from lying, by a margin of 1, on the teacher's side of zero (docs/papers.md §6.7). Gradient into s alone.
Var boundary_loss(const Var& student, const Tensor& teacher);
Var mean(const Var& x);

// ---- op_decoupled.cu: in float --------------------------------------------------------------------------------------------------------
/// mean over the batch of target·KL(b_t ‖ b_s) + others·KL(q_t ‖ q_s), of softmax(logits/T): b the two classes "the label" and "another",
/// q what is left without the label (DKD, docs/papers.md §6.10). From log-sum-exps, so finite wherever the logits are. logits (N,1,1,K),
/// K ≥ 2, labels N int32. Gradient into the student alone. No T² factor.
Var decoupled_divergence(const Var& student_logits, const Tensor& teacher_logits, const Tensor& labels, float temperature, float target,
                         float others);

// ---- op_gaussian.cu -------------------------------------------------------------------------------------------------------------------
/// mean over all elements of ½·((mean − target)²/σ² + log σ²), σ² = log(1 + e^a) + 1e-5, a = scale (1,1,1,C) of the channel; maps (N,H,W,C)
/// (VID, docs/papers.md §6.17). Gradient into mean and scale.
Var gaussian_loss(const Var& mean, const Tensor& target, const Var& scale);

// ---- op_attention_map.cu ----------------------------------------------------------------------------------------------------------------
/// (N,H,W,1) float: the mean over channels of x² (docs/papers.md §6.11).
Var attention_map(const Var& x);

// ---- op_channel_kernel.cu: in float -----------------------------------------------------------------------------------------------------
/// mean over samples of k(t,t) + k(s,s) − 2·k(s,t), k(a,b) = mean over a's channels i and b's channels j of (a_i·b_j)², each channel divided
/// by max(its norm over H·W, 1e-12) (NST, docs/papers.md §6.16). student (N,H,W,C_s), teacher (N,H,W,C_t). Gradient into the student alone.
Var channel_kernel_distance(const Var& student, const Tensor& teacher);

// ---- op_attention.cu: graphs over the batch, a head under the other, in float -----------------------------------------------------------
/// S_a = θ_a·φ_aᵀ for each head a: θ, φ (N,1,1,A·d), of which head a has columns a·d … → (A·N,1,1,N), of which it has rows a·N ….
Var head_products(const Var& theta, const Var& phi, int heads);
/// (A·N,1,1,d), head under head → (N,1,1,A·d), head beside head; each times kept (N,1,1,A) at its sample and head, if given.
Var concat_heads(const Var& x, int heads, const Tensor& kept = {});
/// (N,1,1,A) of ones and zeros: a sample keeps a head whose noise is above the mean over heads of its noise, N(0,1) (MHGD's authors' code).
/// The noise depends on (key, *step, sample, head) alone; step: one int32 in device memory. A single head, always its own mean, is kept.
Tensor draw_kept_heads(Backend& backend, int64_t samples, int heads, uint64_t key, const Tensor& step);

// ---- op_relations.cu: how far apart relations are, each a float scalar; gradient into the student alone ---------------------------------
/// Σ over all elements of p_s·(log p_s − log p_t), p = softmax of a row: KL(p_s ‖ p_t), summed over the rows (docs/papers.md §4.6).
Var graph_divergence(const Var& student, const Tensor& teacher);
/// mean over rows of 1 − cos(prediction, target); of a row of zeros ½ beside one of length 1, 0 beside another.
Var cosine_loss(const Var& prediction, const Tensor& target);
/// Σ over samples and pairs (i, j) of (R_s − R_t)², R = exp(−(back_i − front_j)²/8): KD-SVD's
/// (docs/papers.md §6.8). back (N,1,1,D_B), front (N,1,1,D_F).
Var kernel_distance(const Var& back, const Var& front, const Tensor& back_t, const Tensor& front_t);

// ---- op_pairs.cu: between the samples of a batch, in float; x (N,1,1,D), student and teacher of their own D ------------------------------
/// Of the distances between the samples, divided by the mean of those that are not 0 (each network's by its own): the mean over all N² of
/// Huber's loss (½d² up to 1, |d| − ½ beyond) of their difference (RKD, docs/papers.md §6.12). A distance is at least 1e-6, to itself 0.
/// Gradient into the student alone, through that mean too.
Var distance_loss(const Var& student, const Tensor& teacher);
/// Likewise the mean over all N³ of the cosines at sample i between the directions to samples j and k. A direction between equal samples is
/// 0, without a gradient.
Var angle_loss(const Var& student, const Tensor& teacher);
/// mean over i < N − 1 of Σ_d |a_i − b_i|·|a_{i+1} − b_{i+1}|, of one sample 0; a, b (N,1,1,D) (CC, docs/papers.md §6.15).
Var neighbour_products(const Var& a, const Var& b);
/// mean over all N² of p_t·log((p_t + 1e-7)/(p_s + 1e-7)), p = the rows of (cosine + 1)/2, each divided by its sum; cosines (N,1,1,N)
/// (PKT, docs/papers.md §6.13). Gradient into the student alone.
Var similarity_divergence(const Var& student_cosines, const Tensor& teacher_cosines);

// ---- op_normalize.cu ------------------------------------------------------------------------------------------------------------------
/// Each sample divided by max(its Euclidean norm over H·W·C, 1e-12) + added.
Var l2_normalize(const Var& x, float added = 0);

// ---- op_unit_distance.cu ----------------------------------------------------------------------------------------------------------------
/// A float scalar: the mean over all elements, the batch's too, of (x̂ − t̂)², each sample divided by max(its norm over H·W·C, 1e-12).
/// Gradient into x alone.
Var unit_distance(const Var& x, const Tensor& target);

// ---- op_attention_shift.cu (FFSD, docs/papers.md §6.19), without a record ------------------------------------------------------------------
/// Of an attention map a (N,H,W,1) that is nowhere negative, s its norm in a sample, â = a/max(s, 1e-12), θ the ⌊HW/3⌋-th smallest of â:
struct TurnedAttention {
    Tensor turned;  ///< t = (s/2 − â)·sign(â − θ) + s/2: â below θ, s − â above, s/2 where they are equal
    Tensor lift;    ///< (t − â)·s/channels
};
TurnedAttention turn_attention(const Tensor& attention, int64_t channels);
Tensor lift_channels(const Tensor& map, const Tensor& by);  ///< (N,H,W,C) + (N,H,W,1) on each channel

// ---- op_svd.cu, op_align.cu: in float ------------------------------------------------------------------------------------------------------
/// The first `count` right singular vectors of each sample as a matrix (H·W,C): (N,1,count,C), each of length 1, in falling order of their
/// singular values, each oriented so that its components sum to ≥ 0 (a constant sign); of equal values any vectors of their space.
/// Gradient: X̄ = Σ_k X(w_k v_kᵀ + v_k w_kᵀ), w_k = (s_k² − XᵀX)⁺ v̄_k, where ⁺ takes g/(g² + δ²) for 1/g, δ = 1e-5·s_1·s_k: exact where
/// the values are apart, finite always. A value below 1e-5·s_1 (or 1e-30) counts as zero: some unit vector orthogonal to the others,
/// without a gradient.
Var right_singular_vectors(const Var& x, int count);
/// For each of the teacher's unit vectors (N,1,Kt,C) the student's (N,1,Ks,C) of largest |cosine| (of equals the first), times the sign of
/// that cosine: (N,1,Kt,C). The choice and the sign are constants: the gradient flows into the chosen vector alone.
Var align_vectors(const Var& student, const Tensor& teacher);

// ---- op_negatives.cu, op_contrast.cu, op_info_nce.cu: memories of a row for each of the training set's R records, in float -------------------------------
/// What an image is contrasted with: `count` records of other classes than its own, drawn anew at each step.
struct NegativeDraws {
    int64_t count;          ///< 0: all that there are
    Tensor by_class, rank;  ///< R int32: the records, class by class; where each of them lies there
    Tensor class_begin;     ///< classes + 1 int32: where each class begins there
    bool repeats;           ///< where there are fewer than `count` others they are drawn with repetition; false: each of them once
    uint64_t key;           ///< the draws of an image hang on (key, step, its record) alone
    Tensor given{};         ///< (steps,1,batch,count) int32: what stands for the draws of steps 0, 1, …; undefined: none
};
/// (N,1,1,R) int32: how often each record is drawn for each image. records, labels: N int32; step: one int32 in device memory.
Tensor draw_negatives(const NegativeDraws& draws, const Tensor& records, const Tensor& labels, const Tensor& step);
/// Noise-contrastive estimation (docs/papers.md §6.18), a float scalar: P_ij = exp(anchors_i·memory_j/temperature)/z, c = count/R, ε = 1e-7,
/// −(1/N)·Σ_i [log(P_iy/(P_iy + c + ε)) + Σ_j drawn_ij·log(c/(P_ij + c + ε))], y = records_i. Gradient into the anchors (N,1,1,D) alone.
/// memory (R,1,1,D), drawn as draw_negatives gives it. z: one float; where it is not above 0, it first becomes R·mean of this batch's
/// exp(…), of the y and of what is drawn.
Var contrast_loss(const Var& anchors, const Tensor& memory, const Tensor& records, const Tensor& drawn, int64_t count, float temperature,
                  const Tensor& z);
/// memory_y ← v/max(‖v‖, 1e-12), v = momentum·memory_y + (1 − momentum)·rows_i, y = records_i; no record is there twice.
void remember_rows(const Tensor& memory, const Tensor& records, const Tensor& rows, float momentum);
/// (N,1,1,D): those v; the memory stays as it is.
Tensor smoothed_rows(const Tensor& memory, const Tensor& records, const Tensor& rows, float momentum);
Tensor rows_of(const Tensor& memory, const Tensor& records);  ///< (N,1,1,D): memory_y, y = records_i
/// Of each anchor (A,1,1,1): −log(e_p/(e_p + Σ_j drawn_ij·e_j)), e = exp(anchor·row/temperature), p its row of `positives`, j the memory's
/// rows (InfoNCE, docs/papers.md §11). anchors, positives (A,1,1,D), memory (R,1,1,D), drawn (N,1,1,R), A a multiple of N: anchor a has
/// row a mod N of what is drawn. From a log-sum-exp, so finite at any temperature. Gradient into the anchors alone.
Var info_nce(const Var& anchors, const Tensor& positives, const Tensor& memory, const Tensor& drawn, float temperature);

// ---- op_batch_graph.cu: in float ------------------------------------------------------------------------------------------------------
/// (N,1,1,N): row i is 1/k at the k samples of x nearest to sample i, itself the first, and 0 elsewhere. Nearest by 1 − cosine, whose
/// denominator is at least 1e-7; of samples that are as near the first (docs/papers.md §11). 1 ≤ k ≤ N.
Tensor average_of_nearest(const Tensor& x, int k);

// ---- op_metrics.cu: for the host's eyes, not differentiable ------------------------------------------------------------------------------
/// (N,1,1,1): 1 where a row's largest logit (the first of equals) is at the label, else 0.
Tensor correct_rows(const Tensor& logits, const Tensor& labels);
/// correct[0] += how many of those are 1. correct: one float.
void count_correct(const Tensor& logits, const Tensor& labels, const Tensor& correct);
/// Row *row of the table (rows,1,1,values + 2): the values, then how many rows of logits are right (as above), and how many there are.
/// `row` is one int32 in device memory, read when the step runs.
void log_step(const Tensor& table, const Tensor& row, const std::vector<Tensor>& values, const Tensor& logits, const Tensor& labels);
/// column[*row] = the value.
void log_value(const Tensor& column, const Tensor& row, const Tensor& value);

}  // namespace distill
