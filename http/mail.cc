#include "http/mail.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <memory>
#include <mutex>

#include "http/client.h"

namespace tidemark::http {
namespace {

constexpr size_t kLineMax = 72;  // of quoted-printable text, without its soft break

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct FreeHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};

void InitialiseOnce() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

template <typename Value>
void Set(CURL* curl, CURLoption option, Value value) {
  curl_easy_setopt(curl, option, value);  // NOLINT(cppcoreguidelines-pro-type-vararg)
}

/// What is left to be sent of a message.
size_t OnRead(char* out, size_t size, size_t count, void* rest) {
  auto* text = static_cast<std::string_view*>(rest);
  const size_t taken = std::min(size * count, text->size());
  std::memcpy(out, text->data(), taken);
  text->remove_prefix(taken);
  return taken;
}

std::string DateOf(int64_t milliseconds) {
  // Not strftime's names: those follow the locale.
  constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array kMonths = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = milliseconds / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> rest{};
  std::strftime(rest.data(), rest.size(), " %Y %H:%M:%S +0000", &parts);
  return std::string(kDays.at(static_cast<size_t>(parts.tm_wday))) + ", " +
         std::to_string(parts.tm_mday) + " " + kMonths.at(static_cast<size_t>(parts.tm_mon)) +
         rest.data();
}

bool IsPlain(char c) {
  return c >= ' ' && c <= '~' && c != '=';
}

/// One line of text, without its end.
void AppendQuoted(std::string* out, std::string_view line) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  size_t width = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    if (width >= kLineMax) {
      *out += "=\r\n";
      width = 0;
    }
    const char c = line[i];
    const bool ends_in_blank = c == ' ' && i + 1 == line.size();
    if (IsPlain(c) && !ends_in_blank) {
      *out += c;
      ++width;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    *out += '=';
    *out += kDigits[byte >> 4U];
    *out += kDigits[byte & 15U];
    width += 3;
  }
}

std::string Joined(const std::vector<std::string>& addresses) {
  std::string joined;
  for (const std::string& address : addresses) {
    if (!joined.empty()) joined += ",\r\n ";
    joined += "<" + address + ">";
  }
  return joined;
}

Status CheckMail(const Mail& mail) {
  const auto wrong = [](const std::string& address) {
    return !IsMailAddress(address);
  };
  const bool recipients = !mail.to.empty() && mail.to.size() <= kMailRecipientsMax &&
                          std::none_of(mail.to.begin(), mail.to.end(), wrong);
  if (wrong(mail.from) || !recipients) {
    return {ErrorCode::kInvalidArgument, "a mail needs good addresses"};
  }
  const auto is_control = [](char c) {
    return static_cast<unsigned char>(c) < ' ';
  };
  if (std::any_of(mail.subject.begin(), mail.subject.end(), is_control) ||
      std::any_of(mail.id.begin(), mail.id.end(), is_control)) {
    return {ErrorCode::kInvalidArgument, "the subject of a mail is one line"};
  }
  return {};
}

}  // namespace

bool IsMailAddress(std::string_view address) {
  if (address.size() > kMailAddressBytesMax) return false;
  const size_t at = address.find('@');
  if (at == 0 || at == std::string_view::npos || at + 1 == address.size()) return false;
  if (address.find('@', at + 1) != std::string_view::npos) return false;
  constexpr std::string_view kForbidden = "<>()[]\\,;:\"";
  return std::all_of(address.begin(), address.end(), [&](char c) {
    return c > ' ' && c <= '~' && kForbidden.find(c) == std::string_view::npos;
  });
}

std::string FormatMail(const Mail& mail) {
  const std::string domain = mail.from.substr(mail.from.find('@') + 1);
  std::string out = "Date: " + DateOf(mail.date_ms) + "\r\n";
  out += "From: <" + mail.from + ">\r\n";
  out += "To: " + Joined(mail.to) + "\r\n";
  out += "Subject: " + mail.subject + "\r\n";
  out += "Message-ID: <" + mail.id + "@" + domain + ">\r\n";
  out += "Auto-Submitted: auto-generated\r\n";
  out += "MIME-Version: 1.0\r\n";
  out += "Content-Type: text/plain; charset=utf-8\r\n";
  out += "Content-Transfer-Encoding: quoted-printable\r\n\r\n";
  std::string_view text = mail.text;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    AppendQuoted(&out, text.substr(0, end));
    out += "\r\n";
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

Status SendMail(const MailServer& server, const Mail& mail) {
  TIDEMARK_RETURN_IF_ERROR(CheckMail(mail));
  InitialiseOnce();
  const std::unique_ptr<CURL, FreeHandle> curl(curl_easy_init());
  if (curl == nullptr) return {ErrorCode::kInternal, "cannot set up an SMTP client"};
  std::unique_ptr<curl_slist, FreeList> recipients;
  for (const std::string& to : mail.to) {
    curl_slist* head = curl_slist_append(recipients.get(), ("<" + to + ">").c_str());
    if (head == nullptr) return {ErrorCode::kInternal, "out of memory"};
    static_cast<void>(recipients.release());  // `head` owns it now
    recipients.reset(head);
  }
  std::array<char, CURL_ERROR_SIZE> error{};
  const std::string sender = "<" + mail.from + ">";
  const std::string message = FormatMail(mail);
  std::string_view rest = message;
  Set(curl.get(), CURLOPT_URL, server.url.c_str());
  Set(curl.get(), CURLOPT_PROTOCOLS_STR, "smtp,smtps");
  Set(curl.get(), CURLOPT_PROXY, "");
  Set(curl.get(), CURLOPT_NOSIGNAL, 1L);
  Set(curl.get(), CURLOPT_ERRORBUFFER, error.data());
  Set(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(server.timeout.count()));
  Set(curl.get(),
      CURLOPT_USE_SSL,
      static_cast<long>(server.require_tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
  if (!server.certificate_authority.empty()) {
    Set(curl.get(), CURLOPT_CAINFO, server.certificate_authority.c_str());
  }
  if (!server.user.empty()) {
    Set(curl.get(), CURLOPT_USERNAME, server.user.c_str());
    Set(curl.get(), CURLOPT_PASSWORD, server.password.c_str());
  }
  Set(curl.get(), CURLOPT_MAIL_FROM, sender.c_str());
  Set(curl.get(), CURLOPT_MAIL_RCPT, recipients.get());
  Set(curl.get(), CURLOPT_UPLOAD, 1L);
  Set(curl.get(), CURLOPT_READFUNCTION, &OnRead);
  Set(curl.get(), CURLOPT_READDATA, &rest);
  const CURLcode outcome = curl_easy_perform(curl.get());
  if (outcome == CURLE_OK) return {};
  const std::string reason = error[0] != '\0' ? error.data() : curl_easy_strerror(outcome);
  if (outcome == CURLE_URL_MALFORMAT || outcome == CURLE_UNSUPPORTED_PROTOCOL) {
    return {ErrorCode::kInvalidArgument, "no URL of an SMTP server: " + OriginOf(server.url)};
  }
  return {ErrorCode::kUnavailable, "cannot mail through " + OriginOf(server.url) + ": " + reason};
}

}  // namespace tidemark::http
