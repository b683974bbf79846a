// Page.html, the page to chat with, in the program.
#pragma once

namespace stepdown::run {

extern const char pageText[];

} // namespace stepdown::run
