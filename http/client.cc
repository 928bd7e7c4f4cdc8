#include "http/client.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <string_view>

namespace tidemark::http {
namespace {

CURL* MakeHandle() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  return curl_easy_init();
}

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

void AppendHeader(HeaderList* list, const std::string& line) {
  curl_slist* head = curl_slist_append(list->get(), line.c_str());
  if (head == nullptr) return;  // out of memory; curl sends what it has
  list->release();              // NOLINT(bugprone-unused-return-value): `head` owns it now
  list->reset(head);
}

bool IsLoopback(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return false;
  const std::string_view host = url.substr(scheme + 3);
  return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

// Where an answer collects.
struct Receiver {
  ClientResponse response;
  uint64_t body_bytes = 0;
  bool too_large = false;

  static size_t OnBody(char* bytes, size_t size, size_t count, void* self) {
    auto* receiver = static_cast<Receiver*>(self);
    std::string& body = receiver->response.body;
    if (body.size() + size * count > receiver->body_bytes) {
      receiver->too_large = true;
      return 0;
    }
    body.append(bytes, size * count);
    return size * count;
  }

  static size_t OnHeader(char* bytes, size_t size, size_t count, void* self) {
    auto* receiver = static_cast<Receiver*>(self);
    std::string_view line(bytes, size * count);
    if (line.starts_with("HTTP/")) receiver->response.headers = Headers();  // after a 100
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
      std::string_view value = line.substr(colon + 1);
      constexpr std::string_view kBlanks = " \t\r\n";
      value.remove_prefix(std::min(value.find_first_not_of(kBlanks), value.size()));
      value = value.substr(0, value.find_last_not_of(kBlanks) + 1);
      receiver->response.headers.Add(line.substr(0, colon), value);
    }
    return size * count;
  }
};

}  // namespace

class Client::Impl {
 public:
  explicit Impl(ClientOptions options) : options_(std::move(options)), curl_(MakeHandle()) {}
  ~Impl() {
    if (curl_ != nullptr) curl_easy_cleanup(curl_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<ClientResponse> Send(const ClientRequest& request);

 private:
  template <typename Value>
  void Set(CURLoption option, Value value) {
    curl_easy_setopt(curl_, option, value);  // NOLINT(cppcoreguidelines-pro-type-vararg)
  }
  void SetUp(const ClientRequest& request);
  HeaderList MakeHeaders(const ClientRequest& request) const;

  const ClientOptions options_;
  CURL* const curl_;
  std::array<char, CURL_ERROR_SIZE> error_{};
};

void Client::Impl::SetUp(const ClientRequest& request) {
  curl_easy_reset(curl_);  // keeps the connections
  Set(CURLOPT_URL, request.url.c_str());
  Set(CURLOPT_PROTOCOLS_STR, "http,https");
  Set(CURLOPT_NOSIGNAL, 1L);
  Set(CURLOPT_ERRORBUFFER, error_.data());
  Set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
  Set(CURLOPT_TIMEOUT_MS, static_cast<long>(options_.timeout.count()));
  if (IsLoopback(request.url)) Set(CURLOPT_PROXY, "");  // whatever the environment says
  if (!options_.certificate_authority.empty()) {
    Set(CURLOPT_CAINFO, options_.certificate_authority.c_str());
  }
  if (request.method == Method::kHead) {
    Set(CURLOPT_NOBODY, 1L);
    return;
  }
  // A body is sent as it is, whatever the method, and its absence is said.
  const bool has_body =
      !request.body.empty() || request.method == Method::kPost || request.method == Method::kPut;
  if (has_body) {
    Set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    Set(CURLOPT_POSTFIELDS, request.body.data());
  }
  Set(CURLOPT_CUSTOMREQUEST, MethodName(request.method).data());
}

HeaderList Client::Impl::MakeHeaders(const ClientRequest& request) const {
  HeaderList list;
  AppendHeader(&list, "Expect:");
  AppendHeader(
      &list,
      request.content_type.empty() ? "Content-Type:" : "Content-Type: " + request.content_type);
  for (const auto& [name, value] : request.headers.fields()) {
    std::string line = name;
    // A name with a semicolon is curl's way to send a field without a value.
    AppendHeader(&list, value.empty() ? line.append(";") : line.append(": ").append(value));
  }
  return list;
}

Result<ClientResponse> Client::Impl::Send(const ClientRequest& request) {
  if (curl_ == nullptr) return {ErrorCode::kInternal, "cannot set up an HTTP client"};
  SetUp(request);
  const HeaderList headers = MakeHeaders(request);
  Set(CURLOPT_HTTPHEADER, headers.get());
  Receiver receiver;
  receiver.body_bytes = options_.body_bytes;
  Set(CURLOPT_WRITEFUNCTION, &Receiver::OnBody);
  Set(CURLOPT_WRITEDATA, &receiver);
  Set(CURLOPT_HEADERFUNCTION, &Receiver::OnHeader);
  Set(CURLOPT_HEADERDATA, &receiver);
  error_[0] = '\0';
  const CURLcode outcome = curl_easy_perform(curl_);
  if (receiver.too_large) {
    return {ErrorCode::kTooLarge,
            "the answer has more than " + std::to_string(options_.body_bytes) + " bytes"};
  }
  if (outcome == CURLE_URL_MALFORMAT || outcome == CURLE_UNSUPPORTED_PROTOCOL) {
    return {ErrorCode::kInvalidArgument, "no URL of a server: " + OriginOf(request.url)};
  }
  if (outcome != CURLE_OK) {
    const std::string reason = error_[0] != '\0' ? error_.data() : curl_easy_strerror(outcome);
    return {ErrorCode::kUnavailable, "cannot ask " + OriginOf(request.url) + ": " + reason};
  }
  long status = 0;
  curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);  // NOLINT: curl is C
  receiver.response.status = static_cast<int>(status);
  return std::move(receiver.response);
}

std::string OriginOf(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return "(no URL)";
  std::string_view authority = url.substr(scheme + 3);
  authority = authority.substr(0, authority.find_first_of("/?#\\"));
  const size_t user = authority.rfind('@');
  if (user != std::string_view::npos) authority.remove_prefix(user + 1);
  return std::string(url.substr(0, scheme + 3)) + std::string(authority);
}

Client::Client(ClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Client::~Client() = default;

Result<ClientResponse> Client::Send(const ClientRequest& request) {
  return impl_->Send(request);
}

}  // namespace tidemark::http
