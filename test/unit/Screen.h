// What a terminal shows of the bytes that a program writes: as much of one as a line editor needs, rows that wrap by
// themselves and are put together again when the width changes included.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utf8proc.h>
#include <vector>

namespace stepdown::test {

class Screen {
public:
  Screen(size_t columns, size_t rows) : columns(columns), height(rows), cells(1) {}

  void feed(std::string_view bytes) {
    pending += bytes;
    while (!pending.empty() && step())
      ;
  }

  /// The rows from the first one ever shown to the cursor's last, without blanks at their ends.
  std::string text() const {
    std::string out;
    for (const Row &row : cells) {
      std::string line;
      for (const std::string &cell : row.cells)
        line += cell;
      out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    return out.substr(0, out.find_last_not_of('\n') + 1) + "\n";
  }
  /// The same of the last `count` rows that hold something.
  std::string lastRows(size_t count) const {
    const std::string all = text();
    size_t at = all.size() - 1;
    while (count-- > 0 && at != all.npos && at > 0)
      at = all.rfind('\n', at - 1);
    return all.substr(at == all.npos ? 0 : at + 1);
  }
  size_t cursorColumn() const { return column; }

  /// Another width: rows that wrapped by themselves are one line again, and wrap anew; the cursor stays on its letter.
  void resize(size_t wider) {
    std::vector<Row> old;
    old.swap(cells);
    const size_t oldRow = row, oldColumn = column;
    columns = wider;
    cells.assign(1, {});
    row = column = 0;
    wraps = false;
    size_t newRow = 0, newColumn = 0;
    for (size_t r = 0; r < old.size(); ++r) {
      for (size_t c = 0; c < old[r].cells.size(); ++c) {
        if (!old[r].cells[c].empty()) // the second half of a wide letter goes with the first
          put(old[r].cells[c], c + 1 < old[r].cells.size() && old[r].cells[c + 1].empty() ? 2 : 1);
        if (r == oldRow && c == oldColumn)
          newRow = row, newColumn = column - 1;
      }
      if (r == oldRow && oldColumn >= old[r].cells.size()) // behind what is written
        newRow = row, newColumn = column + (oldColumn - old[r].cells.size());
      if (!old[r].wrapped && r + 1 < old.size())
        newLine(), column = 0;
    }
    row = newRow, column = newColumn;
    wraps = column >= columns;
  }

private:
  struct Row {
    std::vector<std::string> cells; ///< a letter each; empty behind a wide one
    bool wrapped = false;           ///< the next row is its continuation
  };

  void newLine() {
    wraps = false;
    if (++row == cells.size())
      cells.emplace_back();
  }

  void put(const std::string &letter, size_t width) {
    if (wraps || column + width > columns) {
      cells[row].wrapped = true;
      newLine();
      column = 0;
    }
    std::vector<std::string> &line = cells[row].cells;
    if (line.size() < column + width)
      line.resize(column + width, " ");
    line[column] = letter;
    if (width == 2)
      line[column + 1].clear();
    column += width;
    wraps = column == columns; // the next letter begins the next row
  }

  /// An accent, onto the letter before.
  void join(const std::string &accent) {
    std::vector<std::string> &line = cells[row].cells;
    size_t at = std::min(column, line.size());
    while (at > 0 && line[at - 1].empty())
      --at;
    if (at > 0)
      line[at - 1] += accent;
  }

  void control(std::string_view parameters, char kind) {
    const size_t number = std::max<size_t>(1, static_cast<size_t>(std::atoi(std::string(parameters).c_str())));
    if (kind == 'A' || kind == 'B' || kind == 'C' || kind == 'D')
      wraps = false, column = std::min(column, columns - 1);
    const size_t top = cells.size() > height ? cells.size() - height : 0; // what scrolled out cannot be reached
    if (kind == 'A')
      row = row > top + number ? row - number : std::max(top, row - std::min(row, number));
    else if (kind == 'B')
      row = std::min(row + number, cells.size() - 1);
    else if (kind == 'C')
      column = std::min(column + number, columns - 1);
    else if (kind == 'D')
      column -= std::min(column, number);
    else if (kind == 'J') { // to the end of the screen, the only one that is used here
      cells.resize(row + 1);
      cells[row].cells.resize(std::min(cells[row].cells.size(), column));
      cells[row].wrapped = false;
    } else if (kind != 'h' && kind != 'l')
      put("?", 1); // nothing else is expected: it shows
  }

  /// Takes one letter or sequence off `pending`; false where it is not complete.
  bool step() {
    const char first = pending[0];
    if (first == '\x1b') {
      size_t end = pending.size() > 1 && pending[1] == '[' ? 2 : std::string::npos;
      while (end < pending.size() && !(pending[end] >= 0x40 && pending[end] <= 0x7e))
        ++end;
      if (end >= pending.size())
        return false;
      control(std::string_view(pending).substr(2, end - 2), pending[end]);
      pending.erase(0, end + 1);
      return true;
    }
    if (first == '\r' || first == '\n') {
      if (first == '\r')
        column = 0, wraps = false;
      else
        newLine();
      pending.erase(0, 1);
      return true;
    }
    utf8proc_int32_t point;
    const auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t *>(pending.data()),
                                       static_cast<utf8proc_ssize_t>(pending.size()), &point);
    if (size <= 0)
      return false;
    const int width = utf8proc_charwidth(point);
    if (width == 0 && column > 0)
      join(pending.substr(0, static_cast<size_t>(size)));
    else
      put(pending.substr(0, static_cast<size_t>(size)), width == 2 ? 2 : 1);
    pending.erase(0, static_cast<size_t>(size));
    return true;
  }

  size_t columns, height;
  std::vector<Row> cells;
  size_t row = 0, column = 0;
  bool wraps = false;
  std::string pending;
};

} // namespace stepdown::test
