// A device as its source keeps it: marks, descriptor, and the session that is open.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "db/change_log.h"
#include "db/runtime.h"
#include "db/write_batch.h"
#include "replication/internal/marks.h"

namespace tidemark {

/// What a device's descriptor row says; its marks have rows of their own.
struct DeviceDescriptor {
  std::string id;
  uint32_t number = 0;  ///< names the device in tokens and row keys; never reused
  uint64_t epoch = 0;   ///< `EpochTag` of the epoch that its marks belong to
  bool forgotten = false;
  bool everything = true;             ///< sees every entity; else those of `selected`
  std::vector<std::string> selected;  ///< names, which may not exist yet
  std::string incarnation;            ///< of the replica that started last; empty on plain wires
  uint64_t acked_session = 0;         ///< newest page that a page token acknowledged
  uint64_t acked_page = 0;
};

std::string EncodeDescriptor(const DeviceDescriptor& descriptor);
Result<DeviceDescriptor> DecodeDescriptor(std::string_view bytes);

/// Keys of a device's rows, among the rows of upper layers.
inline constexpr std::string_view kDescriptorPrefix = "D/";
inline constexpr std::string_view kMarksPrefix = "d/";
std::string DescriptorKey(std::string_view id);
std::string MarksKey(uint32_t number, std::string_view row);

/// What exists only while a session's view is open.
struct OpenSession {
  std::shared_ptr<const Cut> cut;  ///< null once the session is drained
  SequenceNumber position;         ///< entries at or below it were handed out, or need not be
  uint64_t pages = 0;
  uint64_t left = 0;  ///< of what start counted
  bool reset = false;
  MonotonicTime last_used;
};

struct Device {
  std::mutex mutex;  // held over every change and the commit of its rows
  DeviceDescriptor descriptor;
  DeviceMarks marks;
  std::optional<OpenSession> session;
  bool stale = false;  // a commit of its rows failed: marks must be read again

  /// Puts what changed in the marks, and the descriptor if asked, into `batch`.
  void SaveTo(WriteBatch* batch, bool with_descriptor);
};

}  // namespace tidemark
