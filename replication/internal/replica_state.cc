#include "replication/internal/replica_state.h"

#include "format/coding.h"
#include "format/stored_row.h"

namespace tidemark {
namespace {

constexpr uint8_t kVersion = 3;
constexpr uint8_t kVersionWithoutBundle = 2;
constexpr uint8_t kVersionWithoutResetCut = 1;
constexpr std::string_view kRowName = "the replica's state";

}  // namespace

std::string CarriedKeyRow(uint64_t session, uint64_t page) {
  std::string key(kCarriedKeysPrefix);
  AppendBigEndian64(&key, session);
  AppendBigEndian64(&key, page);
  return key;
}

std::string EncodeReplicaState(const ReplicaState& state) {
  std::string out(1, static_cast<char>(kVersion));
  AppendBytes(&out, state.device);
  AppendBytes(&out, state.incarnation);
  AppendBytes(&out, state.source);
  AppendBytes(&out, state.position);
  AppendBytes(&out, state.epoch);
  AppendVarint(&out, state.session);
  AppendVarint(&out, state.page);
  AppendVarint(&out, state.sweep_through.has_value() ? 1 : 0);
  AppendVarint(&out, state.sweep_through.value_or(kSequenceZero).value());
  AppendVarint(&out, state.reset_cut.value());
  AppendBytes(&out, state.bundle);
  return out;
}

Result<ReplicaState> DecodeReplicaState(std::string_view bytes) {
  ByteReader reader(bytes);
  TIDEMARK_ASSIGN_OR_RETURN(const uint8_t version, ReadRowVersion(&reader, kVersion, kRowName));
  ReplicaState state;
  state.device = reader.Bytes();
  state.incarnation = reader.Bytes();
  state.source = reader.Bytes();
  state.position = reader.Bytes();
  state.epoch = reader.Bytes();
  state.session = reader.Varint();
  state.page = reader.Varint();
  const bool sweeping = reader.Varint() != 0;
  const SequenceNumber through = reader.Sequence();
  if (sweeping) state.sweep_through = through;
  if (version != kVersionWithoutResetCut) state.reset_cut = reader.Sequence();
  if (version > kVersionWithoutBundle) state.bundle = reader.Bytes();
  TIDEMARK_RETURN_IF_ERROR(CheckRowRead(reader, kRowName));
  return state;
}

}  // namespace tidemark
