// Ids in blocks: what a source leases of its id pools to a device and its user, and how they speak
// about it. The source's side is id_pool.h, the device's leased_ids.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "format/record.h"
#include "format/status.h"

namespace tidemark {

// Public limits (docs/limits.md).
inline constexpr uint64_t kIdLeaseMax = 50'000;       ///< ids of one lease
inline constexpr size_t kIdUserBytesMax = 128;        ///< a user, as text; may be empty
inline constexpr size_t kIdRequestBytesMax = 128;     ///< a request id
inline constexpr size_t kIdLeasesInReportMax = 1000;  ///< leases of one report

/// The numbers from `from` on, below `to`.
struct IdRange {
  uint64_t from = 0;
  uint64_t to = 0;
  uint64_t size() const { return to - from; }
  bool operator==(const IdRange&) const = default;
};

uint64_t CountIds(const std::vector<IdRange>& ranges);
/// The id at `index` in the order of the ranges. Requires `index < CountIds(ranges)`.
uint64_t IdAt(const std::vector<IdRange>& ranges, uint64_t index);
/// The ids from `first` on, up to but without `last`, counted in the order of the ranges.
std::vector<IdRange> SliceIds(const std::vector<IdRange>& ranges, uint64_t first, uint64_t last);
/// A number as it is written: padded with zeros to `digits`, and then text; an integer without.
RecordId FormatLeasedId(uint64_t number, uint32_t digits);

/// Who holds a lease. Two users of one device have leases of their own.
struct IdHolder {
  std::string device;
  std::string user = {};  ///< may be empty
  bool operator==(const IdHolder&) const = default;
};

/// A block of ids. They are used in the order of the ranges.
struct IdLease {
  uint64_t number = 0;  ///< increases for each pool
  std::vector<IdRange> ranges;
  uint32_t digits = 0;                     ///< 0: integers
  std::optional<int64_t> expires_at = {};  ///< ms since 1970 by the source's clock
  uint64_t free = 0;                       ///< ids that the pool has left
  bool low = false;                        ///< and whether these are few
  uint64_t count() const { return CountIds(ranges); }
};

struct IdLeaseRequest {
  std::string pool;
  IdHolder holder;
  uint64_t count = 0;      ///< wanted; fewer are given when there are fewer, or may be
  std::string request_id;  ///< the client's: asking again by it answers the same. Empty: none
};

/// The holder's word on a lease: none of its ids from position `used` on was used.
struct HeldLease {
  uint64_t lease = 0;
  uint64_t used = 0;
};

struct IdReport {
  std::string pool;
  IdHolder holder;
  std::vector<HeldLease> leases;
  bool release = false;  ///< and will not be used: they go back to the pool
};

/// A lease that the source does not, or no longer, know as the holder's.
struct VoidLease {
  uint64_t lease = 0;
  std::vector<IdRange> conflicts;  ///< ids the holder used, that others were given as well
};

/// A device's way to the id pools of its source. `kUnavailable` means "could not ask".
class IdTransport {
 public:
  virtual ~IdTransport() = default;
  virtual Result<IdLease> LeaseIds(const IdLeaseRequest& request) = 0;
  /// Names the leases that are void: their ids are not to be used any more.
  virtual Result<std::vector<VoidLease>> ReportIds(const IdReport& report) = 0;
};

}  // namespace tidemark
