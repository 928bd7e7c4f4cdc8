#include "format/token.h"

#include <algorithm>
#include <cstddef>

#include "format/coding.h"

namespace tidemark {
namespace {

constexpr size_t kSealBytes = 8;
constexpr size_t kTokenCharactersMax = 120;
// Keeps seals of tokens apart from other keyed hashes of the same secret.
constexpr uint8_t kSealTag = 0x54;

// A token's fields in the order of their presence bits. One list for both directions, so that they
// cannot differ.
template <typename AnyToken, typename Visit>
void VisitFields(AnyToken* token, Visit visit) {
  visit(&token->epoch);
  visit(&token->device);
  visit(&token->session);
  visit(&token->page);
  visit(&token->head);
  visit(&token->birth);
  visit(&token->op);
  visit(&token->record);
  visit(&token->chain);
}

// Hashes fill their eight bytes; as varints they would need ten.
bool IsHash(const Token& token, const uint64_t* field) {
  return field == &token.epoch || field == &token.device || field == &token.record;
}

// Appends fields that are not zero, and remembers which they were.
class FieldWriter {
 public:
  explicit FieldWriter(const Token& token) : token_(token) {}

  void operator()(const uint64_t* field) {
    if (!Present(*field != 0)) return;
    if (IsHash(token_, field)) {
      AppendBigEndian64(&bytes_, *field);
    } else {
      AppendVarint(&bytes_, *field);
    }
  }
  void operator()(const uint8_t* field) {
    if (Present(*field != 0)) bytes_.push_back(static_cast<char>(*field));
  }
  void operator()(const SequenceNumber* field) {
    if (Present(*field != kSequenceZero)) AppendVarint(&bytes_, field->value());
  }
  void operator()(const Hash128* field) {
    if (Present(!field->empty())) AppendHash(&bytes_, *field);
  }

  uint64_t present() const { return present_; }
  const std::string& bytes() const { return bytes_; }

 private:
  bool Present(bool present) {
    if (present) present_ |= next_;
    next_ <<= 1;
    return present;
  }

  const Token& token_;
  uint64_t present_ = 0;
  uint64_t next_ = 1;
  std::string bytes_;
};

class FieldReader {
 public:
  FieldReader(const Token& token, uint64_t present, ByteReader* bytes)
      : token_(token), present_(present), bytes_(bytes) {}

  void operator()(uint64_t* field) {
    if (!Present()) return;
    *field = IsHash(token_, field) ? bytes_->BigEndian64() : bytes_->Varint();
  }
  void operator()(uint8_t* field) {
    if (Present()) *field = bytes_->Byte();
  }
  void operator()(SequenceNumber* field) {
    if (Present()) *field = bytes_->Sequence();
  }
  void operator()(Hash128* field) {
    if (Present()) *field = bytes_->Hash();
  }

  /// True when every presence bit was known.
  bool Finished() const { return present_ == 0; }

 private:
  bool Present() {
    const bool present = (present_ & 1) != 0;
    present_ >>= 1;
    return present;
  }

  const Token& token_;
  uint64_t present_;
  ByteReader* bytes_;
};

uint64_t Seal(const HashSecret& secret, std::string_view content) {
  return KeyedHash128(secret, kSealTag, content).low;
}

}  // namespace

uint64_t EpochTag(std::string_view epoch_id) {
  return std::max<uint64_t>(Hash64(epoch_id), 1);
}

std::string SealToken(const HashSecret& secret, const Token& token) {
  FieldWriter writer(token);
  VisitFields(&token, [&writer](const auto* field) { writer(field); });

  std::string bytes(1, static_cast<char>(token.kind));
  AppendVarint(&bytes, writer.present());
  bytes += writer.bytes();
  AppendBigEndian64(&bytes, Seal(secret, bytes));
  return Base64UrlEncode(bytes);
}

Result<Token> OpenToken(const HashSecret& secret, TokenKind kind, std::string_view text) {
  // One message for every failure: a forger learns nothing from it.
  const Status refused(ErrorCode::kInvalidArgument, "not a token of this kind and store");
  if (text.size() > kTokenCharactersMax) return refused;
  const std::optional<std::string> bytes = Base64UrlDecode(text);
  if (!bytes || bytes->size() < kSealBytes) return refused;

  const std::string_view content(bytes->data(), bytes->size() - kSealBytes);
  // The difference of whole words takes the same time wherever they differ.
  const uint64_t given = LoadBigEndian64(bytes->data() + content.size());
  if ((given ^ Seal(secret, content)) != 0) return refused;

  ByteReader reader(content);
  Token token;
  token.kind = static_cast<TokenKind>(reader.Byte());
  if (token.kind != kind) return refused;
  FieldReader fields(token, reader.Varint(), &reader);
  VisitFields(&token, [&fields](auto* field) { fields(field); });
  if (!reader.Finished() || !fields.Finished()) return refused;
  return token;
}

}  // namespace tidemark
