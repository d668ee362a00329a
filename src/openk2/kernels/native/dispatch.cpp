// Which instruction set's table a call uses.
#include <cstring>

#include "interface.h"

namespace openk2 {

extern const Kernels kernels_portable;
#ifdef OPENK2_X86
extern const Kernels kernels_avx2, kernels_avx512, kernels_avx512_bf16;
#endif

namespace {

struct Candidate {
  const Kernels* kernels;
  bool runs;
};

const Kernels* find(const char* name) {
#ifdef OPENK2_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  const bool bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
#endif
  const Candidate best_first[] = {
#ifdef OPENK2_X86
      {&kernels_avx512_bf16, bf16},
      {&kernels_avx512, avx512},
      {&kernels_avx2, avx2},
#endif
      {&kernels_portable, true},
  };
  for (const Candidate& candidate : best_first) {
    const bool wanted = !*name || !std::strcmp(name, candidate.kernels->name);
    if (candidate.runs && wanted) return candidate.kernels;
  }
  return nullptr;
}

}  // namespace

const Kernels* find_kernels(const char* name) { return find(name); }

}  // namespace openk2

extern "C" {

// A table for the structures below, or null; a null or empty name asks for the best.
__attribute__((visibility("default"))) const void* openk2_kernels(const char* name) {
  return openk2::find_kernels(name ? name : "");
}

__attribute__((visibility("default"))) const char* openk2_kernels_name(const void* kernels) {
  return static_cast<const openk2::Kernels*>(kernels)->name;
}

// The digest of the sources that this library was built from.
__attribute__((visibility("default"))) const char* openk2_digest() { return OPENK2_DIGEST; }
}
