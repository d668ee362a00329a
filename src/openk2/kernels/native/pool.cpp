#include "pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <thread>

namespace openk2 {
namespace {

inline void pause() {
#ifdef OPENK2_X86
  __builtin_ia32_pause();
#endif
}

// How long a free thread looks out for the next call before it sleeps. A decode step calls every
// few microseconds, and to wake a sleeper takes longer than most calls.
constexpr auto PATIENCE = std::chrono::microseconds(50);

class Pool {
 public:
  explicit Pool(int count) : threads_(count) {}

  int threads() const { return threads_.load(std::memory_order_relaxed); }
  void set_threads(int count) { threads_.store(count, std::memory_order_relaxed); }

  void run(int64_t count, Item item, void* context) {
    const int limit = threads();
    if (count <= 1 || limit <= 1 || !callers_.try_lock()) {
      for (int64_t index = 0; index < count; index++) item(context, index, 0);
      return;
    }
    start(limit - 1);
    item_ = item;
    context_ = context;
    done_.store(0, std::memory_order_relaxed);
    // Publishes the fields above: who takes an item has seen this store.
    left_.store(count, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) {
      { const std::lock_guard<std::mutex> lock(mutex_); }
      wake_.notify_all();
    }
    work(0);
    for (int spins = 0; done_.load(std::memory_order_acquire) < count; spins++) {
      // A thread that was put aside in its item needs a processor.
      if (spins < 10000) pause();
      else std::this_thread::yield();
    }
    const bool failed = failed_.exchange(false, std::memory_order_relaxed);
    callers_.unlock();
    if (failed) throw std::bad_alloc();
  }

 private:
  // Take items until none is left. An item is taken by counting `left_` down, which only succeeds
  // while the call that it belongs to is waiting for it: its fields stay until it is done.
  void work(int worker) {
    int64_t left = left_.load(std::memory_order_acquire);
    while (left > 0) {
      if (left_.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel)) {
        try {
          item_(context_, left - 1, worker);
        } catch (const std::bad_alloc&) {  // of a workspace; in a thread nobody else would catch it
          failed_.store(true, std::memory_order_relaxed);
        }
        done_.fetch_add(1, std::memory_order_release);
        left = left_.load(std::memory_order_acquire);
      }
    }
  }

  void serve(int worker) {
    for (;;) {
      if (worker < threads()) work(worker);
      wait(worker);
    }
  }

  bool called(int worker) const {
    return worker < threads() && left_.load(std::memory_order_seq_cst) > 0;
  }

  void wait(int worker) {
    const auto end = std::chrono::steady_clock::now() + PATIENCE;
    do {
      for (int i = 0; i < 32; i++) {
        if (called(worker)) return;
        pause();
      }
    } while (worker < threads() && std::chrono::steady_clock::now() < end);
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    while (!called(worker)) wake_.wait(lock);
    sleepers_.fetch_sub(1, std::memory_order_seq_cst);
  }

  void start(int workers) {
    try {
      for (; started_ < workers; started_++) {
        std::thread(&Pool::serve, this, started_ + 1).detach();
      }
    } catch (const std::exception&) {
      // There are no more threads, or no memory for one: those that run, at least the caller, do
      // the work.
    }
  }

  std::atomic<int> threads_;
  std::mutex callers_;
  int started_ = 0;

  alignas(64) std::atomic<int64_t> left_{0};
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) Item item_ = nullptr;
  void* context_ = nullptr;

  std::atomic<bool> failed_{false};  // whether an item of this call got no memory

  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<int> sleepers_{0};
};

Pool* shared = nullptr;

// A child process has none of its parent's threads: it starts its own.
void renew() { shared = new Pool(shared->threads()); }

// Never destroyed: its threads run until the process ends.
Pool& pool() {
  static const bool made = [] {
    shared = new Pool(1);
    pthread_atfork(nullptr, nullptr, renew);
    return true;
  }();
  (void)made;
  return *shared;
}

struct Space {
  char* memory = nullptr;
  int64_t bytes = 0;
  ~Space() { std::free(memory); }
};

}  // namespace

int threads() { return pool().threads(); }

// Callers keep MOST_THREADS entries on the stack, one a thread.
void set_threads(int count) { pool().set_threads(std::clamp(count, 1, MOST_THREADS)); }

void run(int64_t count, Item item, void* context) { pool().run(count, item, context); }

char* workspace(int slot, int64_t bytes) {
  thread_local Space spaces[4];
  Space& space = spaces[slot];
  if (space.bytes < bytes) {
    std::free(space.memory);
    space.bytes = 0;
    const int64_t rounded = (bytes + bytes / 4 + 4095) / 4096 * 4096;
    const size_t with_room = static_cast<size_t>(rounded) + 4096;
    space.memory = static_cast<char*>(std::aligned_alloc(4096, with_room));
    if (!space.memory) throw std::bad_alloc();
    space.bytes = rounded;
  }
  return space.memory;
}

}  // namespace openk2

extern "C" {

__attribute__((visibility("default"))) int openk2_threads() { return openk2::threads(); }

__attribute__((visibility("default"))) void openk2_set_threads(int count) {
  openk2::set_threads(count);
}
}
