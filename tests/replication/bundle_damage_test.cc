// Bundles from outside: flipped, cut short, spliced, out of order, made up, and at their limits.
// Refused with a word on where, before anything of them is applied.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "replication/internal/bundle_file.h"
#include "tests/replication/bundle_fixture.h"

namespace tidemark {
namespace {

namespace fs = std::filesystem;

using internal::BundleFrameType;
using internal::BundleReader;
using internal::BundleWriter;
using test::BundleTest;
using test::ReadFile;
using test::StatusIs;
using test::WriteFile;
using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr size_t kPrefixBytes = 12;

/// Where each frame of a bundle begins, and where the last one ends.
std::vector<size_t> FramesOf(const std::string& bytes) {
  std::vector<size_t> begins;
  size_t at = kPrefixBytes;
  while (at < bytes.size()) {
    begins.push_back(at);
    size_t size = 0;
    for (size_t i = 2; i < 6; ++i) size = size * 256 + static_cast<uint8_t>(bytes[at + i]);
    at += 10 + size + 16;
  }
  begins.push_back(at);
  return begins;
}

BundleHeader HeaderOf(BundleDirection direction) {
  return {
      .direction = direction,
      .id = std::string(16, 'b'),
      .store = std::string(16, 's'),
      .epoch = std::string(16, 'e'),
      .device = "tablet",
      .incarnation = std::string(16, 'i'),
      .pull = direction == BundleDirection::kPull ? std::optional(BundledSession()) : std::nullopt};
}

class BundleDamageTest : public BundleTest {
 protected:
  /// A bundle of three pages, and its frames.
  std::string Pack(const std::string& name, std::string_view value) {
    for (int i = 0; i < 3; ++i) Put("visits", std::to_string(i), value);
    PackAtSource(name, {.page_records = 1});
    return ReadFile(File(name));
  }
  void ExpectDamaged(const std::string& bytes, const std::string& what) {
    SCOPED_TRACE(what);
    WriteFile(File("damaged"), bytes);
    EXPECT_THAT(tablet_.replica->ApplyBundle(File("damaged")).status(),
                AnyOf(StatusIs(ErrorCode::kMalformedBatch), StatusIs(ErrorCode::kNewerFormat)));
    const auto report = InspectBundle(File("damaged"));
    EXPECT_FALSE(report.ok() && report->soundness.ok());
  }
  /// Nothing of what was refused is here, and the sound one still is taken.
  void ExpectUntouched(const std::string& sound) {
    EXPECT_TRUE(Held().empty());
    EXPECT_TRUE(tablet_.replica->MakeHello().fresh);
    WriteFile(File("sound"), sound);
    ApplyHere("sound");
    EXPECT_EQ(Held(), Live());
  }
};

TEST_F(BundleDamageTest, EachFlippedByteIsRefused) {
  const std::string sound = Pack("down", "a");
  for (size_t at = 0; at < sound.size(); ++at) {
    for (const int bit : {0, 7}) {
      std::string bytes = sound;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      ExpectDamaged(bytes, "byte " + std::to_string(at) + ", bit " + std::to_string(bit));
    }
  }
  ExpectUntouched(sound);
}

TEST_F(BundleDamageTest, EachLengthIsRefused) {
  const std::string sound = Pack("down", "a");
  for (size_t size = 0; size < sound.size(); ++size) {
    ExpectDamaged(sound.substr(0, size), "the first " + std::to_string(size) + " bytes");
  }
  ExpectDamaged(sound + '\0', "a byte behind the end");
  ExpectDamaged(sound + sound, "twice");
  ExpectUntouched(sound);
}

TEST_F(BundleDamageTest, SplicedAndReorderedFramesAreRefused) {
  const std::string sound = Pack("down", "a");
  const std::string other = [&] {
    EXPECT_OK(source_->PackBundle("other", File("other"), {.page_records = 1}));
    return ReadFile(File("other"));
  }();
  const std::vector<size_t> at = FramesOf(sound);
  const std::vector<size_t> from = FramesOf(other);
  ASSERT_EQ(at.size(), 6U) << "a header, three pages, an end";
  ASSERT_EQ(at.size(), from.size());
  const auto frame = [&](size_t i) {
    return sound.substr(at[i], at[i + 1] - at[i]);
  };
  const std::string prefix = sound.substr(0, kPrefixBytes);
  ExpectDamaged(prefix + frame(0) + frame(2) + frame(1) + frame(3) + frame(4), "reordered");
  ExpectDamaged(prefix + frame(0) + frame(1) + frame(1) + frame(2) + frame(3) + frame(4), "twice");
  ExpectDamaged(prefix + frame(0) + frame(1) + frame(3) + frame(4), "one is missing");
  ExpectDamaged(prefix + frame(0) + frame(4), "all are missing");
  ExpectDamaged(prefix + frame(1) + frame(2) + frame(3) + frame(4), "no header");
  for (size_t i = 0; i + 1 < at.size(); ++i) {
    std::string bytes = sound;
    bytes.replace(at[i], at[i + 1] - at[i], other.substr(from[i], from[i + 1] - from[i]));
    ExpectDamaged(bytes, "frame " + std::to_string(i + 1) + " of another bundle");
  }
  ExpectUntouched(sound);
}

TEST_F(BundleDamageTest, AnErrorNamesTheFrameAndTheByte) {
  std::string bytes = Pack("down", "a");
  const std::vector<size_t> at = FramesOf(bytes);
  bytes[at[2] + 20] = static_cast<char>(bytes[at[2] + 20] ^ 1);
  WriteFile(File("damaged"), bytes);
  const std::string where = "frame 3, at byte " + std::to_string(at[2]);
  EXPECT_THAT(tablet_.replica->ApplyBundle(File("damaged")).status(),
              StatusIs(ErrorCode::kMalformedBatch, HasSubstr(where)));
  const auto report = InspectBundle(File("damaged"));
  ASSERT_OK(report);
  EXPECT_THAT(report->soundness, StatusIs(ErrorCode::kMalformedBatch, HasSubstr(where)));
  EXPECT_EQ(report->totals.pages, 1U);
  EXPECT_EQ(report->totals.frames, 2U);
  EXPECT_EQ(report->totals.bytes, at[2]) << "a copy may be gone on with from here";
  EXPECT_EQ(report->header.device, "tablet");
}

TEST_F(BundleDamageTest, AFrameThatIsWholeAndDoesNotBelongIsRefused) {
  const std::string sound = Pack("down", "a");
  const auto reader = BundleReader::Open(File("down"));
  ASSERT_OK(reader);
  const auto page = (*reader)->Next();
  ASSERT_OK(page);
  const std::string bytes((*page)->bytes);
  const auto write = [&](const BundleHeader& header, BundleFrameType type, std::string_view body) {
    const auto writer = BundleWriter::Create(File("made"));
    ASSERT_OK(writer);
    ASSERT_OK((*writer)->Begin(header));
    ASSERT_OK((*writer)->Add(type, body, 1));
    ASSERT_OK((*writer)->Finish());
  };
  BundleHeader header = (*reader)->header();
  write(header, BundleFrameType::kPush, bytes);
  ExpectRefusedHere("made", StatusIs(ErrorCode::kMalformedBatch, HasSubstr("frame 2")));
  write(header, BundleFrameType::kPage, "no page");
  ExpectRefusedHere("made", StatusIs(ErrorCode::kMalformedBatch, HasSubstr("frame 2")));
  header.pull->session.number += 1;
  write(header, BundleFrameType::kPage, bytes);
  ExpectRefusedHere("made", StatusIs(ErrorCode::kWrongDevice, HasSubstr("frame 2")));
  ExpectUntouched(sound);
}

TEST_F(BundleDamageTest, WhatIsNotFinishedIsNotThere) {
  Put("visits", "1", "a");
  PackAtSource("down");
  const std::string before = ReadFile(File("down"));
  {
    const auto writer = BundleWriter::Create(File("down"));
    ASSERT_OK(writer);
    ASSERT_OK((*writer)->Begin(HeaderOf(BundleDirection::kPull)));
    EXPECT_TRUE(fs::exists(File("down.partial")));
  }
  EXPECT_FALSE(fs::exists(File("down.partial")));
  EXPECT_EQ(ReadFile(File("down")), before) << "the older one stays until the new one is complete";
  EXPECT_THAT(source_->PackBundle("tablet", File("no") / "such" / "folder").status(),
              StatusIs(ErrorCode::kNotFound));
  EXPECT_THAT(tablet_.replica->ApplyBundle(File("nothing")).status(),
              StatusIs(ErrorCode::kNotFound));
  ApplyHere("down");
  PackHere("up");
  ApplyAtSource("up");
  EXPECT_TRUE(PackAtSource("empty").nothing);
  EXPECT_FALSE(fs::exists(File("empty")));
  EXPECT_FALSE(fs::exists(File("empty.partial")));
}

// Limits.

TEST_F(BundleDamageTest, BytesOfAFrame) {
  for (const size_t over : {size_t{0}, size_t{1}}) {
    const auto writer = BundleWriter::Create(File("large"));
    ASSERT_OK(writer);
    ASSERT_OK((*writer)->Begin(HeaderOf(BundleDirection::kPush)));
    const size_t around =
        internal::EncodeBundleKeys({std::string(kBundleFrameBytesMax, 'k')}).size() -
        kBundleFrameBytesMax;
    const std::string keys =
        internal::EncodeBundleKeys({std::string(kBundleFrameBytesMax - around + over, 'k')});
    const Status added = (*writer)->Add(BundleFrameType::kKeys, keys, 1);
    if (over == 0) {
      ASSERT_OK(added);
      ASSERT_OK((*writer)->Finish());
      EXPECT_OK(InspectBundle(File("large"))->soundness);
    } else {
      EXPECT_THAT(added, StatusIs(ErrorCode::kTooLarge));
    }
  }
  // One that claims to be longer is not believed, and no memory is taken for it.
  std::string bytes = ReadFile(File("large"));
  const size_t frame = FramesOf(bytes)[1];
  bytes[frame + 2] = 0x7F;
  bytes[frame + 6] = 0x7F;
  WriteFile(File("large"), bytes);
  EXPECT_THAT(InspectBundle(File("large"))->soundness,
              StatusIs(ErrorCode::kMalformedBatch, HasSubstr("longer than a frame may be")));
}

TEST_F(BundleDamageTest, BytesOfAHeader) {
  BundleHeader header = HeaderOf(BundleDirection::kPull);
  const auto writer = BundleWriter::Create(File("large"));
  ASSERT_OK(writer);
  while (header.pull->session.gaps.size() < 512) {  // more entities than a store has
    header.pull->session.gaps.push_back(
        {std::string(64, 'x'), {kSequenceZero, kSequenceLimit}, kBundleFramesMax});
  }
  EXPECT_OK((*writer)->Begin(header));
  while (header.pull->session.gaps.size() < 1024) {
    header.pull->session.gaps.push_back(header.pull->session.gaps.front());
  }
  EXPECT_THAT((*writer)->Begin(header), StatusIs(ErrorCode::kTooLarge));
}

TEST_F(BundleDamageTest, KeysOfAFrame) {
  const std::vector<std::string> keys(internal::kBundleKeysOfAFrame, "k");
  EXPECT_OK(internal::DecodeBundleKeys(internal::EncodeBundleKeys(keys)));
  const std::vector<std::string> more(internal::kBundleKeysOfAFrame + 1, "k");
  EXPECT_THAT(internal::DecodeBundleKeys(internal::EncodeBundleKeys(more)),
              StatusIs(ErrorCode::kMalformedBatch));
}

TEST_F(BundleDamageTest, FramesOfABundle) {
  const auto writer = BundleWriter::Create(File("many"));
  ASSERT_OK(writer);
  ASSERT_OK((*writer)->Begin(HeaderOf(BundleDirection::kPush)));
  const std::string keys = internal::EncodeBundleKeys({"k"});
  for (uint64_t i = 2; i < kBundleFramesMax; ++i) {
    ASSERT_OK((*writer)->Add(BundleFrameType::kKeys, keys, 1));
  }
  EXPECT_THAT((*writer)->Add(BundleFrameType::kKeys, keys, 1), StatusIs(ErrorCode::kTooLarge));
  ASSERT_OK((*writer)->Finish());
  const auto report = InspectBundle(File("many"));
  ASSERT_OK(report);
  EXPECT_OK(report->soundness);
  EXPECT_EQ(report->totals.frames, kBundleFramesMax);
}

}  // namespace
}  // namespace tidemark
