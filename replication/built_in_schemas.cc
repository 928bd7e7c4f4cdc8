#include "replication/built_in_schemas.h"

#include <initializer_list>

namespace tidemark {
namespace {

EntityField Required(std::string name, FieldType type = FieldType::kAny) {
  EntityField field;
  field.name = std::move(name);
  field.type = type;
  field.required = true;
  return field;
}

EntityDeclaration Declare(EntityKind kind,
                          std::initializer_list<EntityField> fields,
                          std::initializer_list<EntityReference> references = {}) {
  EntityDeclaration declaration;
  declaration.kind = kind;
  declaration.fields = fields;
  declaration.references = references;
  return declaration;
}

EntityDeclaration Contracts() {
  EntityDeclaration contracts = Declare(EntityKind::kIncremental, {Required("id")});
  EntityField start_date;
  start_date.name = "start_date";
  start_date.type = FieldType::kTimestamp;
  contracts.fields.push_back(std::move(start_date));
  contracts.time_field = "start_date";
  return contracts;
}

EntityDeclaration GroupUsers() {
  EntityDeclaration group_users = Declare(EntityKind::kSnapshot,
                                          {Required("group_id"), Required("user_id")},
                                          {{"group_id", "groups"}, {"user_id", "users"}});
  group_users.id_fields = {"group_id", "user_id"};
  return group_users;
}

EntityDeclaration Groups() {
  return Declare(EntityKind::kSnapshot, {Required("id"), Required("name", FieldType::kString)});
}

EntityDeclaration Transactions() {
  EntityDeclaration transactions =
      Declare(EntityKind::kIncremental,
              {Required("id"), Required("transaction_date", FieldType::kTimestamp)});
  transactions.time_field = "transaction_date";
  return transactions;
}

EntityDeclaration UserActivity() {
  return Declare(EntityKind::kIncremental,
                 {Required("user_id"), Required("timestamp", FieldType::kTimestamp)},
                 {{"user_id", "users"}});
}

EntityDeclaration Users() {
  return Declare(EntityKind::kSnapshot, {Required("id"), Required("email", FieldType::kString)});
}

}  // namespace

const std::vector<std::pair<std::string, EntityDeclaration>>& BuiltInDeclarations() {
  static const std::vector<std::pair<std::string, EntityDeclaration>> kDeclarations = {
      {"contracts", Contracts()},
      {"group_users", GroupUsers()},
      {"groups", Groups()},
      {"transactions", Transactions()},
      {"user_activity", UserActivity()},
      {"users", Users()},
  };
  return kDeclarations;
}

}  // namespace tidemark
