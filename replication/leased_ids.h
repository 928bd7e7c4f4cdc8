// Ids that a device was leased, to be used without a network (contract 37).
//
//   auto ids = *tidemark::LeasedIds::Open(store, {.holder = {"tablet-7", "nurse"}});
//   ids->Refill("registration", transport);           // while there is a network
//   tidemark::WriteBatch batch;
//   auto taken = *ids->Take("registration", &batch);  // without one
//   batch.Put("individual", taken.id, ...);
//   store.Commit(batch);                              // row and id become durable together
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "db/store.h"
#include "format/record.h"
#include "format/status.h"
#include "replication/id_lease.h"

namespace tidemark {

inline constexpr size_t kLeasesHeldMax = 256;  ///< of a pool, by one device and user

struct LeasedIdsOptions {
  IdHolder holder;
  uint64_t low_mark = 250;  ///< fewer ids of a pool are few, and refilled
  uint64_t fill_to = 500;   ///< ids that a refill aims at
};

/// An id that nobody else gets. It is used as soon as its batch is committed.
struct LeasedId {
  RecordId id = "";
  uint64_t lease = 0;
  uint32_t index = 0;  ///< position in the lease
  uint64_t left = 0;   ///< ids that can still be taken
  bool low = false;    ///< and whether these are few: refill when there is a network
};

/// What a device has of a pool.
struct IdStock {
  std::string pool;
  uint64_t left = 0;
  bool low = false;
  uint64_t leases = 0;
  uint64_t pool_free = 0;  ///< at the source, as it said last
  bool pool_low = false;
  Status refilled;  ///< how the last refill of this process ended
};

struct IdRefill {
  uint64_t leased = 0;            ///< ids that came
  std::vector<VoidLease> voided;  ///< leases that the source took back; nothing is left of them
  IdStock stock;
};

/// The leases of one device and user in one store. Thread-safe. One at a time for a store and
/// holder; destroy it before its store.
///
/// What is taken is noted by rows of the caller's batch, one for each id, so that batches may
/// commit in any order or not at all. A store that went on from another history (a restored
/// backup, a copy) uses no id that it was leased before: it cannot know which were used.
class LeasedIds {
 public:
  static Result<std::unique_ptr<LeasedIds>> Open(Store& store, LeasedIdsOptions options);
  ~LeasedIds();
  LeasedIds(const LeasedIds&) = delete;
  LeasedIds& operator=(const LeasedIds&) = delete;

  /// The next id, with the row that notes it added to `batch`: commit that, or nothing of it. An
  /// id whose batch is not committed comes again after a restart, or by `PutBack`.
  /// `kIdsExhausted`: refill, or use ids of the application's own making. Asks no network.
  Result<LeasedId> Take(std::string_view pool, WriteBatch* batch);
  /// The batch of `taken` was not committed and will never be. `kConflict` if it was.
  Status PutBack(std::string_view pool, const LeasedId& taken);

  /// Reports what was used, learns which leases are void, and leases more when ids are low. A lost
  /// answer is asked for again, so that no block is lost. Errors: those of the transport.
  Result<IdRefill> Refill(std::string_view pool, IdTransport& transport);
  /// Gives back what is left: nothing can be taken until the next refill, also if the source
  /// cannot be asked; then the next call tells it.
  Status GiveBack(std::string_view pool, IdTransport& transport);

  IdStock Find(std::string_view pool) const;
  std::vector<IdStock> List() const;  ///< by pool

  class Impl;

 private:
  explicit LeasedIds(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidemark
