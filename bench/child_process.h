// A server in a process of its own: what it costs is told apart from what its clients cost, and
// each side has the whole of its limit of open files.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>

namespace tidemark::bench {

/// Processors of the two sides; with only one there is no choice.
inline constexpr int kClientCore = 0;
inline constexpr int kServerCore = 1;

/// Keeps this process, and the threads it starts from now on, on one processor. Does nothing where
/// there is no such processor.
void StayOn(int core);

/// Raises this process's limit of open files. False when it may not have that many.
bool AllowFiles(uint64_t files);

/// A forked process on `kServerCore`. It ends when this object does. Start it before this process
/// has threads.
class ChildProcess {
 public:
  /// Runs in the child: `ready` tells the parent the port, and returns when the parent is done.
  using Body = std::function<void(const std::function<void(uint16_t port)>& ready)>;

  /// Returns when the child is ready. Ends the program when it fails to be.
  explicit ChildProcess(const Body& body);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  uint16_t port() const { return port_; }
  /// Of the processor, all threads together, since it began.
  double CpuSeconds() const;
  double ResidentMiB() const;

 private:
  pid_t id_ = -1;
  int alive_ = -1;  // closed when the child is to end
  uint16_t port_ = 0;
};

}  // namespace tidemark::bench
