// Rules of the marks that a model leaves out, to show that it would notice.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tidemark::model {

/// Rules left out on purpose. A model that misses one of them proves nothing.
enum class Mutant {
  kNone,
  kPurgeBlindToViews,
  kPurgeBlindToExceptions,
  kEndedLivesForgotten,
  kMovesForgotten,
  kWithheldNotNoted,
  kSelectionInForceIgnored,
  kFloorFollowsCut,
  kBackfillAboveFloorOnly,
  kEvictionsNotRead,
  kTombstonesNotRead,
  kServedNotDurable,
  kAcknowledgedNotDurable,
  kHeadsNotDurable,
  kDischargedNotDurable,
  kPagesNotDurable,
  kJournalNotDurable,
  kKeysWithoutSession,
  kLatePagesApplied,
  kOwnLivesNotDurable,
  kOwnLossesNotDurable,
  kOwnWritesToldAgain,
  kOwnWritesOvertaken,
  kMainBlindToQueues,
  kQueuesBlindToMain,
  kQueuesFollowMarks,
  kDrainedTooEarly,
};

inline const char* Name(Mutant mutant) {
  static const char* const kNames[] = {"None",
                                       "PurgeBlindToViews",
                                       "PurgeBlindToExceptions",
                                       "EndedLivesForgotten",
                                       "MovesForgotten",
                                       "WithheldNotNoted",
                                       "SelectionInForceIgnored",
                                       "FloorFollowsCut",
                                       "BackfillAboveFloorOnly",
                                       "EvictionsNotRead",
                                       "TombstonesNotRead",
                                       "ServedNotDurable",
                                       "AcknowledgedNotDurable",
                                       "HeadsNotDurable",
                                       "DischargedNotDurable",
                                       "PagesNotDurable",
                                       "JournalNotDurable",
                                       "KeysWithoutSession",
                                       "LatePagesApplied",
                                       "OwnLivesNotDurable",
                                       "OwnLossesNotDurable",
                                       "OwnWritesToldAgain",
                                       "OwnWritesOvertaken",
                                       "MainBlindToQueues",
                                       "QueuesBlindToMain",
                                       "QueuesFollowMarks",
                                       "DrainedTooEarly"};
  return kNames[static_cast<size_t>(mutant)];
}

}  // namespace tidemark::model
