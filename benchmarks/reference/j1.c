/* Job J1 by hand for AVX2: what the processor can do with dx = -V dt + sqrt(2 D) dW, resets at rate
 * 1, target 0, plain Euler steps. Eight paths in a register, sixty-four under way, float32 state.
 * xoshiro128++ and Box-Muller with polynomials; paths that crossed or are due for a reset within a
 * block of sixteen steps are replayed one by one from the block's start, random numbers included.
 *
 * gcc -O3 -mavx2 -mfma -ffp-contract=fast -shared -fPIC -o j1.so j1.c -lm
 */
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define GROUPS 8
#define BLOCK 16

typedef float v8f __attribute__((vector_size(32)));
typedef int32_t v8i __attribute__((vector_size(32)));
typedef uint32_t v8u __attribute__((vector_size(32)));

typedef struct { v8u s0, s1, s2, s3; } rng8;

static inline v8u next8(rng8 *g) {
    v8u a = g->s0 + g->s3, result = ((a << 7) | (a >> 25)) + g->s0, t = g->s1 << 9;
    g->s2 ^= g->s0; g->s3 ^= g->s1; g->s1 ^= g->s2; g->s0 ^= g->s3; g->s2 ^= t;
    g->s3 = (g->s3 << 11) | (g->s3 >> 21);
    return result;
}

#define ALL(x) ((v8f){x, x, x, x, x, x, x, x})

static inline v8f log8(v8f x) {
    v8u bits = (v8u)x + (0x3F800000u - 0x3F3504F3u);
    v8f e = __builtin_convertvector((v8i)(bits >> 23), v8f) - 127.0f;
    v8f f = (v8f)((bits & 0x007FFFFFu) + 0x3F3504F3u) - 1.0f, z = f * f;
    v8f p = ALL(7.0376836292e-2f);
    p = p * f - 1.1514610310e-1f; p = p * f + 1.1676998740e-1f; p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f; p = p * f - 1.6668057665e-1f; p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f; p = p * f + 3.3333331174e-1f;
    return e * 0.69314718f + (f + (f * z * p - 0.5f * z));
}

static inline void normals8(rng8 *g, v8f *one, v8f *two) {
    v8u first = next8(g), second = next8(g);
    v8f u = (__builtin_convertvector((v8i)(first >> 1), v8f) + 0.5f) * 4.656612873077393e-10f;
    v8f radius = (v8f)_mm256_sqrt_ps(_mm256_max_ps((__m256)(log8(u) * -2.0f), _mm256_setzero_ps()));
    v8f t = __builtin_convertvector((v8i)(second << 2), v8f) * (0.78539816f * 4.656612873077393e-10f);
    v8f q = t * t;
    v8f c = 1.0f + q * (-0.5f + q * (4.1666646e-2f + q * (-1.3887316e-3f + q * 2.4433157e-5f)));
    v8f s = t + t * q * (-1.6666655e-1f + q * (8.3321609e-3f - q * 1.9515296e-4f));
    __m256 swap = (__m256)(v8u)(second << 1);
    v8f signed_radius = (v8f)((v8u)radius ^ (second & 0x80000000u));
    *one = signed_radius * (v8f)_mm256_blendv_ps((__m256)c, (__m256)s, swap);
    *two = signed_radius * (v8f)_mm256_blendv_ps((__m256)s, (__m256)c, swap);
}

static uint64_t mixed(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static double exponential(uint64_t *state) {
    *state += 0x9E3779B97F4A7C15ull;
    return -log(((mixed(*state) >> 12) + 0.5) * 0x1p-52);
}

/* Times of n paths; returns the steps that were made. */
int64_t passage_times(double *times, int64_t n, uint64_t seed, double velocity, double dt, double rate) {
    v8f x[GROUPS];
    rng8 g[GROUPS];
    int64_t path[8 * GROUPS], due[8 * GROUPS], at[8 * GROUPS], next = 0, running = 0, steps = 0;
    uint64_t clock[8 * GROUPS];
    const float drift = (float)(-velocity * dt), noise = (float)sqrt(2.0 * dt);
    const double per_step = 1.0 / (rate * dt);
    for (int i = 0; i < 8 * GROUPS; i++) path[i] = -1;
    for (;;) {
        for (int i = 0; i < 8 * GROUPS; i++)
            if (path[i] < 0) {
                int v = i / 8, l = i % 8;
                x[v][l] = 1.0f; at[i] = 0; due[i] = INT64_MAX;
                if (next < n) {
                    path[i] = next; running++;
                    uint64_t a = mixed(seed + (uint64_t)next * 0x9E3779B97F4A7C15ull), b = mixed(a + 1);
                    g[v].s0[l] = (uint32_t)a; g[v].s1[l] = (uint32_t)(a >> 32);
                    g[v].s2[l] = (uint32_t)b; g[v].s3[l] = (uint32_t)(b >> 32) | 1u;
                    clock[i] = mixed(b); due[i] = 1 + (int64_t)(exponential(&clock[i]) * per_step);
                    next++;
                }
            }
        if (running == 0) return steps;
        int finished = 0;
        while (!finished) {
            steps += (int64_t)running * BLOCK;
            for (int v = 0; v < GROUPS; v++) {
                rng8 before = g[v], now = g[v];
                v8f start = x[v], y = start, least = start, one, two;
                for (int k = 0; k < BLOCK; k += 2) {
                    normals8(&now, &one, &two);
                    y = y + (one * noise + drift);
                    least = (v8f)_mm256_min_ps((__m256)least, (__m256)y);
                    y = y + (two * noise + drift);
                    least = (v8f)_mm256_min_ps((__m256)least, (__m256)y);
                }
                g[v] = now; x[v] = y;
                int flags = _mm256_movemask_ps(_mm256_cmp_ps((__m256)least, _mm256_setzero_ps(), _CMP_LE_OQ));
                for (int l = 0; l < 8; l++) {
                    int i = 8 * v + l;
                    flags |= (due[i] <= at[i] + BLOCK) << l;
                    at[i] += BLOCK;
                }
                if (!flags) continue;
                float z[BLOCK][8];
                for (int k = 0; k < BLOCK; k += 2) {
                    normals8(&before, &one, &two);
                    memcpy(z[k], &one, 32); memcpy(z[k + 1], &two, 32);
                }
                for (int l = 0; l < 8; l++) {
                    int i = 8 * v + l;
                    if (!(flags >> l & 1) || path[i] < 0) continue;
                    float w = start[l];
                    int64_t step = at[i] - BLOCK;
                    for (int k = 0; k < BLOCK; k++) {
                        w = w + (z[k][l] * noise + drift); step++;
                        if (w <= 0.0f) {
                            times[path[i]] = (double)step * dt;
                            path[i] = -1; running--; finished = 1;
                            break;
                        }
                        if (step == due[i]) {
                            w = 1.0f;
                            due[i] = step + 1 + (int64_t)(exponential(&clock[i]) * per_step);
                        }
                    }
                    x[v][l] = w;
                }
            }
        }
    }
}
