// An explanation of what a device was or was not sent, as JSON.
#pragma once

#include <string>

#include "replication/why.h"

namespace tidemark::server {

std::string ExplanationToJson(const DeliveryExplanation& explanation);

}  // namespace tidemark::server
