#include "server/mails.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "format/coding.h"
#include "server/requests.h"

namespace tidemark::server {
namespace {

constexpr char kMailChannel = 'm';
constexpr size_t kWarningsShown = 20;
constexpr size_t kColumn = 11;

std::string InWords(UploadState state) {
  std::string words(UploadStateName(state));
  std::replace(words.begin(), words.end(), '_', ' ');
  return words;
}

uint64_t RejectedRows(const UploadInfo& info) {
  uint64_t rejected = 0;
  for (const auto& [name, entity] : info.entities) rejected += entity.rejected;
  return rejected;
}

std::string Rows(uint64_t count) {
  return std::to_string(count) + (count == 1 ? " row" : " rows");
}

void AppendRight(std::string* line, const std::string& text) {
  line->append(std::max(kColumn, text.size() + 1) - text.size(), ' ').append(text);
}

std::string Table(const UploadInfo& info) {
  size_t width = 6;
  for (const auto& [name, entity] : info.entities) width = std::max(width, name.size());
  std::string table = "entity" + std::string(width - 6, ' ');
  for (const char* heading :
       {"created", "updated", "deleted", "unchanged", "appended", "rejected"}) {
    AppendRight(&table, heading);
  }
  table += '\n';
  for (const auto& [name, entity] : info.entities) {
    const ReplaceCounts& counts = entity.counts;
    table += name + std::string(width - name.size(), ' ');
    for (const uint64_t count : {counts.created,
                                 counts.updated,
                                 counts.deleted,
                                 counts.unchanged,
                                 counts.appended,
                                 entity.rejected}) {
      AppendRight(&table, std::to_string(count));
    }
    table += '\n';
  }
  return table;
}

// "2031-05-01T08:30:00.000Z"; "-" for none.
std::string TimeInWords(int64_t milliseconds) {
  const std::string json = TimeToJson(milliseconds);
  return json == "null" ? "-" : json.substr(1, json.size() - 2);
}

void AppendWarnings(std::string* text, const std::vector<std::string>& warnings) {
  if (warnings.empty()) return;
  *text += "\nWarnings:\n";
  const size_t shown = std::min(warnings.size(), kWarningsShown);
  for (size_t i = 0; i < shown; ++i) *text += "- " + warnings[i] + "\n";
  if (shown < warnings.size()) {
    *text += "- and " + std::to_string(warnings.size() - shown) + " more\n";
  }
}

// Subject and text are kept together until the mail is taken.
std::string Encode(const MailText& mail) {
  std::string row;
  AppendBytes(&row, mail.subject);
  AppendBytes(&row, mail.text);
  return row;
}

}  // namespace

MailText WriteMail(const std::string& instance,
                   const std::string& public_url,
                   const UploadInfo& info) {
  const std::string state = InWords(info.state);
  const uint64_t rejected = RejectedRows(info);
  MailText mail;
  mail.subject = "Tidemark " + instance + ": upload " + state;
  if (rejected > 0) mail.subject += ", " + Rows(rejected) + " rejected";

  mail.text = "The upload sync " + info.id + " of the instance " + instance + " is over: " + state +
              ".\n\n";
  mail.text += "Started " + TimeInWords(info.started_at_ms) + "\n";
  mail.text += "Ended   " + TimeInWords(info.ended_at_ms) + "\n";
  if (!info.error.empty()) mail.text += "\nReason: " + info.error + "\n";
  if (!info.entities.empty()) mail.text += "\n" + Table(info);
  const std::string path = public_url + "/v2/integrations-sync/syncs/" + info.id;
  if (rejected > 0) {
    mail.text += "\n" + Rows(rejected) + " set aside. What is wrong with them, row by row:\n" +
                 path + "/errors.csv\n";
  }
  AppendWarnings(&mail.text, info.warnings);
  mail.text += "\nAll about this sync:\n" + path + "\n";
  return mail;
}

OutcomeChannel MailChannel(const std::string& instance, const MailOptions& options, Clock& clock) {
  OutcomeChannel channel;
  channel.name = kMailChannel;
  channel.compose = [instance, url = options.public_url](const UploadInfo& info) {
    return Encode(WriteMail(instance, url, info));
  };
  channel.send = [options, &clock](const Delivery& delivery) {
    ByteReader reader(delivery.body);
    http::Mail mail;
    mail.id = delivery.id;
    mail.from = options.from;
    mail.to = options.to;
    mail.subject = reader.Bytes();
    mail.text = reader.Bytes();
    mail.date_ms = clock.WallMilliseconds();
    return http::SendMail(options.server, mail);
  };
  return channel;
}

}  // namespace tidemark::server
