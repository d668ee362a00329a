// Threads that share the items of one call at a time.
#pragma once

#include <cstdint>
#include <new>

namespace openk2 {

constexpr int MOST_THREADS = 256;

// Runs item `index`; `worker` numbers the threads of this call from 0.
using Item = void (*)(void* context, int64_t index, int worker);

// How many threads a call may use, the caller's among them.
int threads();
void set_threads(int count);

// Run items 0 to count - 1, in this thread and in those of the pool that are free in time; return
// when all are done. The caller takes items too and waits only for those that were begun, so a
// thread that the system does not run costs nothing. While another caller has the pool, everything
// runs in this thread. Throws std::bad_alloc if an item did.
void run(int64_t count, Item item, void* context);

// `run` of a callable (index, worker).
template <class Body>
void run(int64_t count, Body& body) {
  run(
      count, [](void* context, int64_t index, int worker) {
        (*static_cast<Body*>(context))(index, worker);
      },
      &body);
}

// Memory of the calling thread, 64-byte aligned: `bytes`, and room for a vector beyond them. Its
// content is lost at the next call. `slot` names independent pieces. Throws std::bad_alloc.
char* workspace(int slot, int64_t bytes);

// What shared_library.py raises a MemoryError for.
constexpr int NO_MEMORY = -1;

// The result of `body`, or NO_MEMORY: an exception must not reach Python, which would end. Around
// each function that Python calls and that allocates.
template <class Body>
int guarded(const Body& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return NO_MEMORY;
  }
}

}  // namespace openk2
