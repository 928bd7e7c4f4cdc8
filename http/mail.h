// Mail through an SMTP server.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "format/status.h"

namespace tidemark::http {

inline constexpr size_t kMailRecipientsMax = 20;
inline constexpr size_t kMailAddressBytesMax = 254;

struct MailServer {
  std::string url;  ///< "smtp://host:587", or "smtps://host:465" for TLS from the first byte
  /// Over smtp: the connection must turn to TLS (STARTTLS) before anything is said. Without it
  /// neither mail nor password is protected on its way.
  bool require_tls = true;
  std::string user;  ///< empty: no login
  std::string password;
  std::string certificate_authority;  ///< PEM file; empty: the system's
  std::chrono::milliseconds timeout{10'000};
};

struct Mail {
  std::string id;  ///< the same for every attempt; becomes the Message-ID
  std::string from;
  std::vector<std::string> to;  ///< 1 to `kMailRecipientsMax`
  std::string subject;          ///< one line
  std::string text;             ///< UTF-8
  int64_t date_ms = 0;          ///< since 1970
};

/// Whether `address` is one that fits a header and an envelope: `local@domain`, in ASCII, without
/// blanks, brackets and control characters.
bool IsMailAddress(std::string_view address);

/// Hands `mail` to the server, to all recipients or to none. Blocks. `kUnavailable`: it was not
/// taken; it may be tried again. `kInvalidArgument`: the URL or an address is none.
Status SendMail(const MailServer& server, const Mail& mail);

/// The message as it goes out, lines ended by CR LF, its text quoted-printable (RFC 5322, 2045).
std::string FormatMail(const Mail& mail);

}  // namespace tidemark::http
