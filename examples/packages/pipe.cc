#include "examples/packages/pipe.h"

#include <sys/socket.h>
#include <unistd.h>

#include "format/coding.h"

namespace tidemark::examples {
namespace {

constexpr uint32_t kMessageBytesMax = 64 * 1024 * 1024;
constexpr char kStart = 's';
constexpr char kNext = 'n';
constexpr char kAcknowledge = 'a';

bool ReadAll(int socket, char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t got = read(socket, bytes, size);
    if (got <= 0) return false;
    bytes += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

bool Send(int socket, std::string_view message) {
  std::string framed;
  AppendBigEndian32(&framed, static_cast<uint32_t>(message.size()));
  framed.append(message);
  std::string_view rest = framed;
  while (!rest.empty()) {
    const ssize_t sent = send(socket, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    rest.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

std::optional<std::string> Receive(int socket) {
  char header[sizeof(uint32_t)];
  if (!ReadAll(socket, header, sizeof(header))) return std::nullopt;
  const uint32_t size = LoadBigEndian32(header);
  if (size > kMessageBytesMax) return std::nullopt;
  std::string message(size, '\0');
  if (!ReadAll(socket, message.data(), size)) return std::nullopt;
  return message;
}

std::string Failure(const Status& status) {
  std::string answer(1, static_cast<char>(status.code()));
  answer.append(status.message());
  return answer;
}

std::string Success() {
  return {static_cast<char>(ErrorCode::kOk)};
}

std::string AnswerStart(Source& source, ByteReader request) {
  Hello hello;
  hello.device = request.Bytes();
  hello.position = request.Bytes();
  hello.incarnation = request.Bytes();
  hello.fresh = request.Byte() != 0;
  const auto session = source.StartSession(hello);
  if (!session.ok()) return Failure(session.status());
  std::string answer = Success();
  if (!session->has_value()) return answer;
  AppendBytes(&answer, (*session)->id);
  AppendVarint(&answer, (*session)->number);
  AppendVarint(&answer, (*session)->owed);
  AppendVarint(&answer, (*session)->reset ? 1 : 0);
  return answer;
}

std::string AnswerNext(Source& source, ByteReader request, Traffic* traffic) {
  const std::string_view session = request.Bytes();
  const auto page = source.NextPage(session, PageOptions{.records_max = request.Varint()});
  if (!page.ok()) return Failure(page.status());
  std::string answer = Success();
  if (!page->has_value()) return answer;
  AppendBytes(&answer, (*page)->bytes);
  AppendBytes(&answer, (*page)->token);
  AppendVarint(&answer, (*page)->records);
  AppendVarint(&answer, (*page)->left);
  ++traffic->pages;
  traffic->instructions += (*page)->records;
  traffic->bytes += (*page)->bytes.size();
  return answer;
}

std::string AnswerAcknowledge(Source& source, ByteReader request) {
  const std::string_view device = request.Bytes();
  std::vector<std::string> keys;
  while (request.ok() && !request.empty()) keys.emplace_back(request.Bytes());
  const auto result = source.Acknowledge(device, keys);
  if (!result.ok()) return Failure(result.status());
  std::string answer = Success();
  AppendVarint(&answer, result->applied);
  AppendVarint(&answer, result->repeated);
  AppendVarint(&answer, result->ignored);
  return answer;
}

}  // namespace

Result<std::string> PipeTransport::Call(const std::string& request) const {
  const std::optional<std::string> answer =
      Send(socket_, request) ? Receive(socket_) : std::nullopt;
  if (!answer.has_value() || answer->empty()) {
    return {ErrorCode::kUnavailable, "the source does not answer"};
  }
  const auto code = static_cast<ErrorCode>(answer->front());
  if (code != ErrorCode::kOk) return {code, answer->substr(1)};
  return answer->substr(1);
}

Result<std::optional<SessionInfo>> PipeTransport::Start(const Hello& hello) {
  std::string request(1, kStart);
  AppendBytes(&request, hello.device);
  AppendBytes(&request, hello.position);
  AppendBytes(&request, hello.incarnation);
  request.push_back(hello.fresh ? 1 : 0);
  TIDEMARK_ASSIGN_OR_RETURN(const std::string answer, Call(request));
  if (answer.empty()) return std::optional<SessionInfo>{};
  ByteReader reader(answer);
  SessionInfo session;
  session.id = reader.Bytes();
  session.number = reader.Varint();
  session.owed = reader.Varint();
  session.reset = reader.Varint() != 0;
  return std::optional<SessionInfo>(std::move(session));
}

Result<std::optional<Page>> PipeTransport::Next(std::string_view session,
                                                const PageOptions& options) {
  std::string request(1, kNext);
  AppendBytes(&request, session);
  AppendVarint(&request, options.records_max);
  TIDEMARK_ASSIGN_OR_RETURN(const std::string answer, Call(request));
  if (answer.empty()) return std::optional<Page>{};
  ByteReader reader(answer);
  Page page;
  page.bytes = reader.Bytes();
  page.token = reader.Bytes();
  page.records = reader.Varint();
  page.left = reader.Varint();
  return std::optional<Page>(std::move(page));
}

Result<AckResult> PipeTransport::Acknowledge(std::string_view device,
                                             const std::vector<std::string>& keys) {
  std::string request(1, kAcknowledge);
  AppendBytes(&request, device);
  for (const std::string& key : keys) AppendBytes(&request, key);
  TIDEMARK_ASSIGN_OR_RETURN(const std::string answer, Call(request));
  ByteReader reader(answer);
  AckResult result;
  result.applied = reader.Varint();
  result.repeated = reader.Varint();
  result.ignored = reader.Varint();
  return result;
}

Status ServePipe(int socket,
                 Source& source,
                 const std::function<Fate(char kind)>& fate,
                 Traffic* traffic) {
  const Status lost(ErrorCode::kUnavailable, "lost on the way");
  while (const auto request = Receive(socket)) {
    if (request->empty()) return {ErrorCode::kInvalidArgument, "an empty message"};
    const char kind = request->front();
    const Fate happens = fate(kind);
    std::string answer = Failure(lost);
    if (happens != Fate::kRequestLost) {
      const ByteReader body(std::string_view(*request).substr(1));
      std::string real = kind == kStart  ? AnswerStart(source, body)
                         : kind == kNext ? AnswerNext(source, body, traffic)
                                         : AnswerAcknowledge(source, body);
      if (happens == Fate::kDelivered) answer = std::move(real);
    }
    if (happens != Fate::kDelivered) ++traffic->lost;
    if (!Send(socket, answer)) return {};
  }
  return {};
}

}  // namespace tidemark::examples
