// The text of the line editor, and the keys of terminals, as far as no terminal is needed.
#include "tools/stepdown-run/EditedText.h"
#include "tools/stepdown-run/Keys.h"
#include <gtest/gtest.h>

using namespace stepdown::run;

namespace {

std::string rowsOf(const TextLayout &layout) {
  std::string all;
  for (const TextLayout::Row &row : layout.rows)
    all += row.bytes + (row.broken ? "\\" : "") + "\n";
  return all;
}

TEST(EditedText, movesByWhatPeopleSeeAsLetters) {
  EditedText text;
  // e with an accent of its own; a family of three joined people; a flag; Hangul of two code points.
  for (const char *letter : {"e\xcc\x81", "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7",
                             "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa", "\xe1\x84\x80\xe1\x85\xa1"}) {
    text.set(std::string("a") + letter + "b");
    text.left();
    text.left();
    EXPECT_EQ(text.cursor(), 1u) << letter;
    text.eraseRight();
    EXPECT_EQ(text.text(), "ab") << letter;
  }
}

TEST(EditedText, neverLeavesTheCursorInALetter) {
  EditedText text;
  text.set("\xcc\x81"); // an accent alone, until a letter comes before it
  text.left();
  text.insert("e");
  EXPECT_EQ(text.cursor(), 3u);
  EXPECT_EQ(text.layout("> ", 17).cursorColumn, 3u);
  text.set("\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa"); // DE
  text.left();
  text.insert("\xf0\x9f\x87\xab"); // F: the flag of FD and an E
  EXPECT_EQ(text.cursor(), 8u);
  EXPECT_EQ(text.layout("> ", 17).cursorColumn, 4u);
  text.set("e\n\xcc\x81");
  text.left();
  text.eraseLeft(); // the line break
  EXPECT_EQ(text.cursor(), 3u);
  text.eraseLeft();
  EXPECT_EQ(text.text(), "");
}

TEST(EditedText, findsTheWordBeforeInTimeThatGrowsWithIt) {
  // Looked for letter by letter from the left, this takes hours.
  EditedText text;
  text.set("one " + std::string(500009, 'x'));
  EXPECT_EQ(text.killSpaceLeft().size(), 500009u);
  text.insert(std::string(500009, 'x') + " \n ");
  text.wordLeft();
  EXPECT_EQ(text.cursor(), 4u);
  EXPECT_EQ(text.killWordLeft(), "one ");
}

TEST(EditedText, takesWhatIsNoUtf8OrNoText) {
  EditedText text;
  text.set("a\xff\xc3(\x1b[31m\x07\xc2\x9b\nb\tc\xe6\xbc");
  EXPECT_EQ(text.text(), "a\xef\xbf\xbd\xef\xbf\xbd([31m\nb\tc\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(EditedText, erasesWordsLinesAndLineEnds) {
  EditedText text;
  text.set("one two-three\nfour");
  EXPECT_EQ(text.killToLineBegin(), "four");
  text.eraseLeft();
  EXPECT_EQ(text.killWordLeft(), "three");
  EXPECT_EQ(text.killSpaceLeft(), "two-");
  EXPECT_EQ(text.text(), "one ");
  text.lineBegin();
  EXPECT_EQ(text.killWordRight(), "one");
  text.set("a\nb");
  text.left();
  text.left();
  EXPECT_EQ(text.killToLineEnd(), "\n");
  EXPECT_EQ(text.text(), "ab");
  text.swapLetters();
  EXPECT_EQ(text.text(), "ba");
  text.set("ab\nc");
  text.left();
  text.left(); // before the line break
  text.swapLetters();
  EXPECT_EQ(text.text(), "ba\nc");
}

TEST(EditedText, wrapsWithoutPartingLetters) {
  EditedText text;
  text.set("12345\xe6\xbc\xa2x"); // behind five letters and the prompt, one column is left
  EXPECT_EQ(rowsOf(text.layout("> ", 8)), "> 12345\\\n\xe6\xbc\xa2x\n");
  text.set("123456");
  TextLayout full = text.layout("> ", 8);
  EXPECT_EQ(rowsOf(full), "> 123456\\\n\n") << "the cursor has a row of its own";
  EXPECT_EQ(full.cursorRow, 1u);
  text.left();
  full = text.layout("> ", 8);
  EXPECT_EQ(rowsOf(full), "> 123456\n");
  EXPECT_EQ(full.cursorColumn, 7u);
  text.set("a\nb");
  EXPECT_EQ(rowsOf(text.layout("> ", 8)), "> a\n  b\n");
  text.set("x");
  EXPECT_EQ(rowsOf(text.layout("(search) ", 7)), "(search\\\n) x\n") << "a prompt wraps too";
}

TEST(EditedText, movesOverRows) {
  EditedText text;
  text.set("123456789\nab");
  ASSERT_TRUE(text.rowUp("> ", 8)); // 789, column 4 taken at its end
  EXPECT_EQ(text.cursor(), 9u);
  ASSERT_TRUE(text.rowUp("> ", 8));
  EXPECT_EQ(text.cursor(), 1u);
  EXPECT_FALSE(text.rowUp("> ", 8));
  ASSERT_TRUE(text.rowDown("> ", 8) && text.rowDown("> ", 8));
  EXPECT_FALSE(text.rowDown("> ", 8));
}

std::vector<KeyKind> kindsOf(std::string bytes, bool noMore = false) {
  std::vector<KeyKind> kinds;
  for (Key key; takeKey(bytes, noMore, key);)
    kinds.push_back(key.kind);
  return kinds;
}

TEST(Keys, areReadFromWhatTerminalsSend) {
  using K = KeyKind;
  EXPECT_EQ(kindsOf("\x1b[A\x1bOA\x1b[1;5D\x1b[3~\r\x1b\rab\x7f\x03\x04"),
            (std::vector<K>{K::Up, K::Up, K::WordLeft, K::Delete, K::Enter, K::NewLine, K::Text, K::Backspace,
                            K::Interrupt, K::EndOfInput}));
  EXPECT_EQ(kindsOf("\x1b[99;99~\x1b[?1;2cx"), (std::vector<K>{K::None, K::None, K::Text})) << "none of ours";
  EXPECT_EQ(kindsOf("\x1b\x1b[D\x1b\x1b[200~\r\x1b[201~"), (std::vector<K>{K::None, K::Left, K::None, K::Paste}));
}

TEST(Keys, waitForTheRestOfWhatHasBegun) {
  Key key;
  for (const char *begun : {"\x1b", "\x1b[", "\x1b[1;5", "\xe6\xbc", "\x1b[200~text\x1b[201"}) {
    std::string bytes = begun;
    EXPECT_FALSE(takeKey(bytes, false, key)) << begun;
    EXPECT_EQ(bytes, begun);
  }
  EXPECT_EQ(patience(""), -1);
  EXPECT_EQ(patience("\xe6\xbc"), -1) << "the rest of a letter comes, however late";
  EXPECT_EQ(patience("\x1b[200~text"), -1);
  EXPECT_LT(patience("\x1b"), patience("\x1b["));
  EXPECT_EQ(kindsOf("\x1b", true), std::vector<KeyKind>{KeyKind::None});
  EXPECT_EQ(kindsOf("\x1b\x1b"), std::vector<KeyKind>{KeyKind::None}) << "and of the second, more may come";
}

TEST(Keys, takePastedTextAsText) {
  std::string bytes = "\x1b[200~one\r\ntwo\rthree\n\x03\x1b[A\x1b[201~x";
  Key key;
  ASSERT_TRUE(takeKey(bytes, false, key));
  EXPECT_EQ(key.kind, KeyKind::Paste);
  EXPECT_EQ(key.text, "one\ntwo\nthree\n\x03\x1b[A");
  EXPECT_EQ(bytes, "x");
}

} // namespace
