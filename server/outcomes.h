// Outcomes of upload syncs, told to others: each once it is durable, in order, until it is taken.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "db/store.h"
#include "format/status.h"
#include "replication/upload.h"
#include "server/deliveries.h"

namespace tidemark::server {

/// One way in which outcomes are told.
struct OutcomeChannel {
  char name = 0;  ///< tells the channels of a store apart
  /// What is kept of an outcome until it is taken.
  std::function<std::string(const UploadInfo& info)> compose;
  Deliveries::Send send;
};

/// Tells each outcome over one channel; also the ones that a crash came between. Thread-safe.
/// Destroy it before its store and before `uploads`, when no call works on them any more.
class Outcomes {
 public:
  /// What was over before the channel was first opened is not told.
  static Result<std::unique_ptr<Outcomes>> Open(Store& store,
                                                Uploads& uploads,
                                                OutcomeChannel channel,
                                                const DeliveryOptions& options = {});
  ~Outcomes();
  Outcomes(const Outcomes&) = delete;
  Outcomes& operator=(const Outcomes&) = delete;

  /// Outcomes that wait to be taken.
  size_t waiting() const;

 private:
  class Impl;
  explicit Outcomes(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace tidemark::server
