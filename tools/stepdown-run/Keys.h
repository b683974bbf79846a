// Keys of a terminal, from the bytes that it sends: letters, control characters, escape sequences, and pasted text.
#pragma once
#include <string>
#include <string_view>

namespace stepdown::run {

enum class KeyKind {
  None,  ///< a sequence that no key of ours has
  Text,  ///< letters
  Paste, ///< a text that came at once, newlines and all
  Enter,
  NewLine, ///< Alt-Enter, or Shift-Enter where the terminal tells: a line break in the text
  Tab,
  Left,
  Right,
  Up,
  Down,
  Home,
  End,
  WordLeft,
  WordRight,
  Backspace,
  Delete,
  KillWordLeft,
  KillSpaceLeft,
  KillWordRight,
  KillToBegin,
  KillToEnd,
  Yank,
  Swap,
  Clear,
  Search,
  Interrupt,
  EndOfInput,
  Suspend,
  Cancel,
};

struct Key {
  KeyKind kind = KeyKind::None;
  std::string text; ///< of Text and Paste
};

/// Takes the first key off `bytes`. False where it is not complete yet: an escape sequence, a letter, or a paste whose
/// end has not come. With `noMore`, what is there is all that will come for now.
bool takeKey(std::string &bytes, bool noMore, Key &key);

/// How long to wait for the rest of `bytes`, which takeKey left, in milliseconds: -1 for as long as it takes, where
/// something must follow. An ESC alone is a key of that name where nothing follows at once.
int patience(const std::string &bytes);

} // namespace stepdown::run
