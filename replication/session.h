// What a device is told when a session begins.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/sequence.h"

namespace tidemark {

/// Events of a trimmed incremental entity that the device was owed and cannot get (contract 18).
/// Told by every start until a call of the session it began shows that the answer arrived.
struct Gap {
  std::string entity;
  SequenceRange range;
  uint64_t count = 0;
};

/// What a session owes of one declared queue.
struct QueueInfo {
  std::string name;
  uint64_t owed = 0;   ///< instructions, exactly
  uint64_t pages = 0;  ///< at the default page size; a lower bound
};

struct SessionInfo {
  std::string id;       ///< sealed; names the session to every later call
  uint64_t number = 0;  ///< increases for each device within a history
  std::string epoch;    ///< 16 bytes, identity of that history; empty: the wire does not say
  SequenceNumber cut;
  uint64_t owed = 0;   ///< instructions, exactly: all of them, which is what `main` has
  uint64_t pages = 0;  ///< at the default page size; a lower bound
  std::vector<QueueInfo> queues = {};  ///< beside `main`, in order of importance; each once
  bool reset = false;                  ///< drop what this session does not list
  std::vector<Gap> gaps;
};

}  // namespace tidemark
