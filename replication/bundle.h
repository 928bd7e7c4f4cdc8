// Bundles: syncs as files, for where there is no network. A bundle is checksummed frame by frame
// and as a whole, compressed, made for one device of one store, and applied as often as one likes.
// It carries in one direction: a session's pages to a device, a device's own writes and
// acknowledgements to its source, or the source's answers back (docs/sync_protocol.md).
//
// A bundle that is lost costs a resend and nothing else. Who may read a bundle reads what is in it:
// it is checked against damage, not encrypted or signed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "format/status.h"
#include "replication/push.h"
#include "replication/session.h"

namespace tidemark {

// Public limits (docs/limits.md).
inline constexpr size_t kBundleFrameBytesMax = 8 * 1024 * 1024;   ///< of one frame, not compressed
inline constexpr size_t kBundleHeadBytesMax = 64 * 1024;          ///< of what the first frame says
inline constexpr uint64_t kBundleFramesMax = 1'000'000;           ///< with the first and the last
inline constexpr size_t kBundleOperationsMax = kPushAnswersKept;  ///< a device's own, of one bundle

enum class BundleDirection : uint8_t {
  kPull = 1,     ///< to a device: the pages of one session
  kPush = 2,     ///< to a source: operations of a device, and keys of pages that it applied
  kAnswers = 3,  ///< to a device: what became of its operations
};
/// "pull", "push", "answers".
std::string_view BundleDirectionName(BundleDirection direction);

/// What a pull begins with, and what the source knows of the device that it is made for: by that a
/// replica notices that it is not the one.
struct BundledSession {
  SessionInfo session;  ///< without its id
  /// Nothing was handed out before: a replica that holds nothing begins with it, under the bundle's
  /// incarnation.
  bool complete = false;
  uint64_t acked_session = 0;  ///< newest page that the device acknowledged
  uint64_t acked_page = 0;
  uint64_t handled_through = 0;  ///< the highest of the device's operations that was answered
};

/// What a bundle is, and for whom.
struct BundleHeader {
  BundleDirection direction = BundleDirection::kPull;
  std::string id;           ///< 16 random bytes
  std::string store;        ///< 16 bytes, identity of the source's store; push: empty if not known
  std::string epoch;        ///< 16 bytes, identity of its history; push: empty if not known
  std::string device;       ///< for whom, or of whom
  std::string incarnation;  ///< 16 bytes, of its replica
  int64_t created_at = 0;   ///< milliseconds since 1970; says nothing about order
  std::optional<BundledSession> pull = {};  ///< pull: always
};

/// What is in a bundle.
struct BundleTotals {
  uint64_t frames = 0;          ///< with the first and the last
  uint64_t pages = 0;           ///< pull
  uint64_t records = 0;         ///< pull: instructions
  uint64_t pushes = 0;          ///< push, answers
  uint64_t operations = 0;      ///< push, answers
  uint64_t keys = 0;            ///< push
  uint64_t bytes = 0;           ///< of the file
  uint64_t unpacked_bytes = 0;  ///< what they would be if they were not compressed
  std::string checksum;  ///< of the whole, 32 hexadecimal digits; empty: not sound to the end
};

struct BundleReport {
  BundleHeader header;
  BundleTotals totals;  ///< what is sound: of a damaged bundle, up to the damage
  Status soundness;     ///< ok, or what is wrong and where
};

/// Reads and checks all of a bundle. The errors are those of a file that is no bundle at all, or
/// whose header cannot be read: `kMalformedBatch`, `kNewerFormat`, `kNotFound`, `kIoError`.
Result<BundleReport> InspectBundle(const std::filesystem::path& path);

struct BundlePackOptions {
  /// Everything, for a replica that holds nothing, under an incarnation of its own: the device's
  /// earlier replica, if there was one, is reset should it come back. A device that never told its
  /// source who it is gets this without being asked.
  bool fresh = false;
  size_t page_records = 1000;  ///< of one frame; 1 to 1,000
};

/// Bundles grow while they are packed; `total` of the same, or zero where it is not known.
using BundleProgress = std::function<void(uint64_t done, uint64_t total)>;

struct BundlePacked {
  bool nothing = false;  ///< there was nothing to carry, and so there is no file
  BundleHeader header;
  BundleTotals totals;
  uint64_t left = 0;  ///< push: operations that wait for the next bundle, beyond the limit
};

/// What a source made of a push bundle.
struct BundleTaken {
  BundleHeader header;
  std::array<uint64_t, kPushOutcomeCount> counts{};  ///< of operations, by outcome
  uint64_t acknowledged = 0;                         ///< instructions
  uint64_t ignored_keys = 0;                         ///< acknowledged before, or of no use any more
};

}  // namespace tidemark
