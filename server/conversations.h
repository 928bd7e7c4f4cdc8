// Who is speaking with an instance: which device a session belongs to, and which of a device's
// starts is its newest.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "db/store.h"

namespace tidemark::server {

/// Thread-safe. Knows of what was started since the instance was opened: older sessions have
/// expired.
class Conversations {
 public:
  explicit Conversations(const Store& store);

  /// A device asks for a session. A start that waits is let go when the device starts again: were
  /// it answered after that, its session would fence the newer one.
  uint64_t BeginStart(std::string_view device);
  /// Runs `work` if `start` is the device's newest; a newer one begins after it. `work` may block.
  void IfNewestStart(std::string_view device, uint64_t start, const std::function<void()>& work);
  /// Forgets the start, if it is the newest.
  void EndStart(std::string_view device, uint64_t start);

  /// `session` was opened for `device`.
  void NoteSession(std::string_view session, std::string_view device);
  /// False for a session that is known to be of another device.
  bool MayRead(std::string_view session, std::string_view device);
  /// `session` has nothing more to hand out.
  void EndSession(std::string_view session);

  /// Whether a session that may have more to hand out was started or read since `time`.
  bool ActiveSince(MonotonicTime time) const;

 private:
  /// The number that stands for the device in a session's name; nullopt when it is no session.
  std::optional<uint64_t> NumberOf(std::string_view session) const;

  // A few devices share one; taken before `mutex_`.
  std::mutex& StartMutex(std::string_view device);

  static constexpr size_t kStartMutexes = 256;
  std::array<std::mutex, kStartMutexes> start_mutexes_;
  struct Session {
    std::string device;
    MonotonicTime last_use;
    bool ended = false;
  };

  const Store& store_;
  mutable std::mutex mutex_;
  uint64_t starts_ = 0;
  std::unordered_map<std::string, uint64_t> newest_start_;  // of devices that wait
  std::unordered_map<uint64_t, Session> newest_session_;    // by the device's number
};

}  // namespace tidemark::server
