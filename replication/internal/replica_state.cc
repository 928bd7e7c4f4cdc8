#include "replication/internal/replica_state.h"

#include "format/coding.h"

namespace tidemark {
namespace {

constexpr uint8_t kVersion = 2;
constexpr uint8_t kVersionWithoutResetCut = 1;

}  // namespace

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
  return out;
}

Result<ReplicaState> DecodeReplicaState(std::string_view bytes) {
  ByteReader reader(bytes);
  const uint8_t version = reader.Byte();
  if (version != kVersion && version != kVersionWithoutResetCut) {
    return {ErrorCode::kNewerFormat, "the replica's state has an unknown version"};
  }
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
  if (version == kVersion) state.reset_cut = reader.Sequence();
  if (!reader.Finished()) return {ErrorCode::kCorruption, "the replica's state is damaged"};
  return state;
}

}  // namespace tidemark
