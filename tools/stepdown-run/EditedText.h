// The text that a person is typing, with a cursor in it, and how it lies on a terminal: in characters as people see
// them (grapheme clusters), which have one or two columns and never part at the end of a row.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace stepdown::run {

/// Where characters of a text lie on a terminal of some width, behind a prompt; lines after the first begin behind as
/// many blanks as the prompt has columns.
struct TextLayout {
  struct Row {
    std::string bytes;   ///< as they are written, prompt or blanks included
    size_t columns = 0;  ///< of the terminal that they take
    bool broken = false; ///< the next row begins because this one is full
  };
  std::vector<Row> rows; ///< at least one
  size_t cursorRow = 0, cursorColumn = 0;
};

class EditedText {
public:
  const std::string &text() const { return bytes; }
  size_t cursor() const { return at; }
  bool empty() const { return bytes.empty(); }

  /// Replaces everything; the cursor goes behind it. What is no UTF-8 becomes U+FFFD.
  void set(std::string_view text);
  /// Puts `text` before the cursor; what is no UTF-8 becomes U+FFFD.
  void insert(std::string_view text);

  void left();
  void right();
  void wordLeft();
  void wordRight();
  void lineBegin(); ///< after the newline before the cursor
  void lineEnd();
  void moveTo(size_t offset) { at = offset; }
  /// One row up or down of `layout(prompt, width)`; false where there is none.
  bool rowUp(std::string_view prompt, size_t width) { return moveRows(prompt, width, -1); }
  bool rowDown(std::string_view prompt, size_t width) { return moveRows(prompt, width, 1); }

  void eraseLeft();
  void eraseRight();
  /// These give what they erased.
  std::string killWordLeft();
  std::string killSpaceLeft(); ///< as far as the blank before, as shells do on Ctrl-W
  std::string killWordRight();
  std::string killToLineBegin();
  std::string killToLineEnd();
  void swapLetters();

  /// Rows of at most `width` columns.
  TextLayout layout(std::string_view prompt, size_t width) const { return layout(prompt, width, nullptr); }

private:
  struct Place {
    size_t offset, row, column; ///< of a character
  };
  TextLayout layout(std::string_view prompt, size_t width, std::vector<Place> *places) const;
  size_t before(size_t offset) const;
  size_t after(size_t offset) const;
  std::string kill(size_t from, size_t to);
  void leaveCharacter(); ///< behind the character that the cursor stands in, if it does
  void leftOver(bool (*between)(char), bool (*within)(char));
  bool moveRows(std::string_view prompt, size_t width, int by);

  std::string bytes; ///< UTF-8
  size_t at = 0;     ///< of `bytes`, at the beginning of a character
};

/// Columns of a text without line breaks.
size_t columnsOf(std::string_view text);

} // namespace stepdown::run
