#include "examples/packages/debian_input.h"

#include <fstream>
#include <utility>

#include "format/json.h"

namespace tidemark::examples {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

Result<std::ifstream> OpenFile(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) return {ErrorCode::kNotFound, "cannot read " + file.string()};
  return in;
}

void EmitStanza(const Fields& fields, const Emit& emit) {
  JsonWriter json;
  json.BeginObject();
  for (const auto& [name, value] : fields) {
    if (name == "Package") json.Key("id").String(value);
  }
  for (const auto& [name, value] : fields) json.Key(name).String(value);
  json.EndObject();
  emit(json.Take());
}

}  // namespace

Status ReadPackageIndex(const std::filesystem::path& file, const Emit& emit) {
  TIDEMARK_ASSIGN_OR_RETURN(std::ifstream in, OpenFile(file));
  Fields fields;
  std::string line;
  while (std::getline(in, line)) {
    if (line.empty()) {
      if (!fields.empty()) EmitStanza(fields, emit);
      fields.clear();
      continue;
    }
    if (line.front() == ' ' || line.front() == '\t') {
      if (!fields.empty()) fields.back().second.append("\n").append(line.substr(1));
      continue;
    }
    const size_t colon = line.find(':');
    if (colon == std::string::npos) {
      return {ErrorCode::kInvalidArgument, file.string() + ": no field in the line: " + line};
    }
    const size_t value = line.find_first_not_of(' ', colon + 1);
    fields.emplace_back(line.substr(0, colon),
                        value == std::string::npos ? std::string() : line.substr(value));
  }
  if (!fields.empty()) EmitStanza(fields, emit);
  return {};
}

Status ReadPackageLog(const std::filesystem::path& file, const Emit& emit) {
  TIDEMARK_ASSIGN_OR_RETURN(std::ifstream in, OpenFile(file));
  std::string line;
  for (uint64_t number = 1; std::getline(in, line); ++number) {
    const size_t day = line.find(' ');
    const size_t time = day == std::string::npos ? day : line.find(' ', day + 1);
    if (time == std::string::npos) continue;  // a line cut short by a full disk, say
    const size_t action = line.find(' ', time + 1);
    JsonWriter json;
    json.BeginObject();
    // The same line read again is the same event: its place in the log is its name.
    json.Key("id").String(line.substr(0, day) + "T" + line.substr(day + 1, time - day - 1) + "/" +
                          std::to_string(number));
    json.Key("timestamp")
        .String(line.substr(0, day) + "T" + line.substr(day + 1, time - day - 1) + "Z");
    json.Key("action").String(
        line.substr(time + 1, action == std::string::npos ? action : action - time - 1));
    json.Key("subject").String(action == std::string::npos ? "" : line.substr(action + 1));
    json.EndObject();
    emit(json.Take());
  }
  return {};
}

}  // namespace tidemark::examples
