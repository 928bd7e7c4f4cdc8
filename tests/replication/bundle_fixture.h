// What the tests of bundles share: files between a source and its devices.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "tests/replication/push_fixture.h"

namespace tidemark::test {

inline std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}
inline void WriteFile(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

class BundleTest : public PushTest {
 protected:
  std::filesystem::path File(const std::string& name) const { return directory_.path() / name; }

  /// What the tablet is owed, packed into the file of this name.
  BundlePacked PackAtSource(const std::string& name, const BundlePackOptions& options = {}) {
    const auto packed = source_->PackBundle("tablet", File(name), options);
    EXPECT_OK(packed);
    return packed.ok() ? *packed : BundlePacked();
  }
  BundlePacked PackHere(const std::string& name) {
    const auto packed = tablet_.replica->PackBundle(File(name));
    EXPECT_OK(packed);
    return packed.ok() ? *packed : BundlePacked();
  }
  BundleApplied ApplyHere(const std::string& name) {
    const auto applied = tablet_.replica->ApplyBundle(File(name));
    EXPECT_OK(applied);
    return applied.ok() ? *applied : BundleApplied();
  }
  BundleTaken ApplyAtSource(const std::string& name, const std::string& answers = {}) {
    const auto taken =
        source_->ApplyBundle(File(name), answers.empty() ? std::filesystem::path() : File(answers));
    EXPECT_OK(taken);
    return taken.ok() ? *taken : BundleTaken();
  }
  /// Refused, and everything here is as it was.
  void ExpectRefusedHere(const std::string& name, const ::testing::Matcher<Status>& why) {
    const auto held = Held();
    const std::string position = tablet_.replica->MakeHello().position;
    const SequenceNumber last = tablet_.replica->store().last_sequence();
    EXPECT_THAT(tablet_.replica->ApplyBundle(File(name)).status(), why);
    EXPECT_EQ(Held(), held);
    EXPECT_EQ(tablet_.replica->MakeHello().position, position);
    EXPECT_EQ(tablet_.replica->store().last_sequence(), last);
  }
  /// Up, answers, down, by files alone.
  void SyncByFiles() {
    if (!PackHere("up").nothing) {
      ApplyAtSource("up", "answers");
      if (std::filesystem::exists(File("answers"))) ApplyHere("answers");
      std::filesystem::remove(File("answers"));
    }
    if (!PackAtSource("down").nothing) ApplyHere("down");
  }
  void WipeTablet() {
    tablet_.replica.reset();
    std::filesystem::remove_all(tablet_.path);
    Open(&tablet_);
  }
};

}  // namespace tidemark::test
