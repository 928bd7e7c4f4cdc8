#include "bench/child_process.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "bench/harness.h"

namespace tidemark::bench {
namespace {

struct Pipe {
  int read = -1;
  int write = -1;
};

Pipe MakePipe() {
  std::array<int, 2> ends{};
  Require(::pipe(ends.data()) == 0, "making a pipe");
  return {ends[0], ends[1]};
}

}  // namespace

void StayOn(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(static_cast<size_t>(core), &cores);
  ::sched_setaffinity(0, sizeof(cores), &cores);
}

bool AllowFiles(uint64_t files) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= files) return true;
  limit.rlim_cur = std::min<rlim_t>(files, limit.rlim_max);
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= files;
}

ChildProcess::ChildProcess(const Body& body) {
  const Pipe told = MakePipe();
  const Pipe alive = MakePipe();
  id_ = ::fork();
  Require(id_ >= 0, "starting a process");
  if (id_ == 0) {
    ::close(told.read);
    ::close(alive.write);
    StayOn(kServerCore);
    body([&](uint16_t port) {
      Require(::write(told.write, &port, sizeof(port)) == sizeof(port), "telling the port");
      char end = 0;
      while (::read(alive.read, &end, 1) > 0) {
      }
    });
    std::_Exit(0);  // what the parent made is for the parent to take down
  }
  ::close(told.write);
  ::close(alive.read);
  alive_ = alive.write;
  Require(::read(told.read, &port_, sizeof(port_)) == sizeof(port_), "starting the server");
  ::close(told.read);
}

ChildProcess::~ChildProcess() {
  ::close(alive_);
  ::waitpid(id_, nullptr, 0);
}

double ChildProcess::CpuSeconds() const {
  clockid_t clock = 0;
  timespec spent{};
  Require(::clock_getcpuclockid(id_, &clock) == 0 && ::clock_gettime(clock, &spent) == 0,
          "reading the time of a process");
  return static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) / 1e9;
}

double ChildProcess::ResidentMiB() const {
  long pages = 0;
  const std::string name = "/proc/" + std::to_string(id_) + "/statm";
  std::FILE* file = std::fopen(name.c_str(), "re");
  Require(file != nullptr && std::fscanf(file, "%*s %ld", &pages) == 1, "reading a process's size");
  std::fclose(file);
  return static_cast<double>(pages) * static_cast<double>(::sysconf(_SC_PAGESIZE)) /
         (1024.0 * 1024.0);
}

}  // namespace tidemark::bench
