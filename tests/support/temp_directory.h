// A directory of its own for each test.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace tidemark::test {

/// A fresh directory, in memory where the machine has that, else under TMPDIR; removed with
/// everything in it at the end.
class TempDirectory {
 public:
  TempDirectory() {
    std::string name = Parent() / "tidemark-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) {
      std::perror(name.c_str());
      std::abort();
    }
    path_ = name;
  }
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Path of a child, as the text that most interfaces want.
  std::string operator/(const std::string& child) const { return path_ / child; }

 private:
  static std::filesystem::path Parent() {
    const char* memory = "/dev/shm";
    if (access(memory, W_OK) == 0) return memory;
    return std::filesystem::temp_directory_path();
  }

  std::filesystem::path path_;
};

}  // namespace tidemark::test
