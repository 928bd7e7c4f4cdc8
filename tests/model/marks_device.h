// A device in a history of marks: its marks at the source with their rows, the device itself, and
// what is on its way between them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "replication/internal/marks.h"
#include "replication/internal/session_queues.h"
#include "tests/model/marks_oracle.h"

namespace tidemark::model {

struct Copy {
  SequenceNumber birth;
  SequenceNumber head;
  bool operator==(const Copy&) const = default;
};

struct Device {
  DeviceMarks marks;
  std::map<std::string, std::string> rows;

  Oracle oracle;
  std::map<int, Copy> local;
  std::set<int> listed;                   // by the newest session
  std::map<int, SequenceNumber> written;  // by the device itself, since the newest session began

  // The newest session.
  std::vector<std::optional<ReadRange>> ranges;
  uint64_t pages = 0;
  std::shared_ptr<const ResolvedQueues> declared;
  SessionQueues queues;
  std::vector<SequenceNumber> places;  // of each queue
  std::set<int> handed;
  bool reset = false;
  bool drained = false;
  bool withheld = false;
  SequenceNumber cut;
  Selection cut_selection;
  uint64_t unacknowledged = 0;

  std::vector<std::vector<Told>> in_flight;  // pages, not yet at the device
  std::vector<std::vector<Told>> answers;    // acknowledgements, not yet at the source
};

}  // namespace tidemark::model
