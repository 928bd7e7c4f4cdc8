// Sealed tokens: the one codec of ack keys, page tokens, session ids and positions. A token is
// opaque to whoever carries it. It names what it stands for and carries a keyed seal, so that it
// can neither be forged nor moved to another device, store or epoch (contract 11, 20).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "format/checksum.h"
#include "format/sequence.h"
#include "format/status.h"

namespace tidemark {

enum class TokenKind : uint8_t { kAck = 1, kPage = 2, kSession = 3, kPosition = 4, kCursor = 5 };

/// What a token stands for. Fields without meaning for a kind are zero.
struct Token {
  TokenKind kind = TokenKind::kAck;
  uint64_t epoch = 0;    ///< `EpochTag` of the epoch: random, so never that of another history
  uint64_t device = 0;   ///< hash of the device id
  uint64_t session = 0;  ///< the device's session number
  uint64_t page = 0;     ///< page token: page number; ack: the page that the row was handed out on
  SequenceNumber head;   ///< ack: the version; position: the sequence
  SequenceNumber birth;  ///< ack: the life
  uint8_t op = 0;        ///< ack: the RowOp that was handed out
  uint64_t record = 0;   ///< ack: hash of entity and id
  Hash128 chain;         ///< position: chain hash at the sequence
  bool operator==(const Token&) const = default;
};

/// What stands for an epoch in tokens: 64 bits of its random id, never zero.
uint64_t EpochTag(std::string_view epoch_id);

/// URL-safe text of at most 120 characters, sealed by the store's secret.
std::string SealToken(const HashSecret& secret, const Token& token);
/// `kInvalidArgument` when malformed or when the seal does not fit. Compares in constant time.
Result<Token> OpenToken(const HashSecret& secret, TokenKind kind, std::string_view text);

}  // namespace tidemark
