// Grammars of all notations, texts that they allow, and masks of tokens against the same found plainly.
#include "lib/Grammar/Constraint.h"
#include "lib/Grammar/Gbnf.h"
#include "lib/Grammar/Sample.h"
#include <ctime>
#include <gtest/gtest.h>

using namespace stepdown;
using namespace stepdown::grammar;

namespace {

std::shared_ptr<const Network> made(Notation notation, const std::string &text) {
  auto network = compileConstraint(notation, text);
  EXPECT_TRUE(network) << text << ": " << network.error().message;
  return network ? *network : nullptr;
}

bool allows(const std::shared_ptr<const Network> &network, std::string_view text) {
  Matcher matcher(network);
  return matcher.accept(text) == text.size() && matcher.mayEnd();
}

int refusal(Notation notation, const std::string &text) {
  auto network = compileConstraint(notation, text);
  return network ? 0 : static_cast<int>(network.error().code);
}

/// The number of the refusal, 0: none; a hostile text has to come to its end soon.
int refusalSoon(Notation notation, const std::string &text) {
  const std::clock_t begin = std::clock();
  const int number = refusal(notation, text);
  EXPECT_LT(double(std::clock() - begin) / CLOCKS_PER_SEC, 5) << text.substr(0, 200);
  return number;
}

std::string times(size_t count, const std::string &text) {
  std::string all;
  for (size_t i = 0; i < count; ++i)
    all += text;
  return all;
}

TEST(Grammar, readsGbnf) {
  auto sums = made(Notation::Gbnf, "# sums\nroot ::= term (\n  [-+] term )*\nterm ::= [0-9]{1,3} | \"(\" root \")\"\n"
                                   "  | \"\\u00e9\" # a letter\n");
  for (const char *text : {"7", "131+(5-\u00e9)", "((1))"})
    EXPECT_TRUE(allows(sums, text)) << text;
  for (const char *text : {"", "1234", "(1", "1)", "+1", "\u00e8"})
    EXPECT_FALSE(allows(sums, text)) << text;
}

TEST(Grammar, refusesGbnfByNumber) {
  const std::pair<const char *, int> wrong[] = {
      {"", 1301},
      {"# nothing\n", 1301},
      {"root ::= \"\xff\"", 1301},
      {"root ::= \"a", 1302},
      {"root ::= (\"a\"", 1302},
      {"root \"a\"", 1302},
      {"root ::= [z-a]", 1302},
      {"root ::= \"a\"\nroot ::= \"b\"", 1302},
      {"root ::= \"a\"{3,2}", 1302},
      {"root ::= <|token|>", 1302},
      {"root ::= other", 1303},
      {"other ::= \"a\"", 1303},
      {"root ::= root \"a\" | \"b\"", 1304},
      {"root ::= maybe root \"a\" | \"b\"\nmaybe ::= \"c\"?", 1304},
      {"root ::= first\nfirst ::= second \"a\"\nsecond ::= first | \"b\"", 1304},
      {"root ::= \"a\" root", 1305},
      {"root ::= []", 1305},
      {"root ::= ([a-z]{1000}){1000}", 1306},
      {"root ::= (\"a\" | \"b\")* \"a\" [ab]{20}", 1306},
  };
  for (auto [text, number] : wrong)
    EXPECT_EQ(refusal(Notation::Gbnf, text), number) << text;
  EXPECT_EQ(refusal(Notation::Gbnf, std::string("root ::= ") + std::string(1000, '(')), 1302);
  EXPECT_EQ(refusal(Notation::Gbnf, std::string(size_t(17) << 20, ' ')), 1301);
}

TEST(Grammar, readsChoices) {
  auto choices = made(Notation::Choices, "yes,no,a\\,b,back\\\\");
  for (const char *text : {"yes", "no", "a,b", "back\\"})
    EXPECT_TRUE(allows(choices, text)) << text;
  EXPECT_FALSE(allows(choices, "a"));
  EXPECT_EQ(refusal(Notation::Choices, "a,,b"), 1309);
  EXPECT_EQ(refusal(Notation::Choices, ""), 1309);
  EXPECT_EQ(refusal(Notation::Choices, "a,b,a"), 1309);
}

TEST(Grammar, refusesExpressionsByNumber) {
  const std::pair<const char *, int> wrong[] = {
      {"(", 1307},         {"a)", 1307},      {"*", 1307},       {"a**", 1307},           {"[a", 1307},
      {"[z-a]", 1307},     {"a{2,1}", 1307},  {"a{1001}", 1307}, {"\\x{110000}", 1307},   {"(?z:a)", 1307},
      {"[[:nix:]]", 1307}, {"\\bword", 1308}, {"(a)\\1", 1308},  {"(?=a)", 1308},         {"(?<!a)b", 1308},
      {"a++", 1308},       {"\\p{L}", 1308},  {"(?m)^a", 1308},  {"\\C", 1308},           {"[\\pL]", 1308},
      {"(?>a)", 1308},     {"\xc3", 1301},    {"a^b", 1305},     {"(a{999}){999}", 1306},
  };
  for (auto [text, number] : wrong)
    EXPECT_EQ(refusal(Notation::Regex, text), number) << text;
}

TEST(Grammar, refusesSchemasByNumber) {
  const std::pair<const char *, int> wrong[] = {
      {"", 1310},
      {"{", 1310},
      {"[]", 1310},
      {R"({"type": "text"})", 1310},
      {R"({"required": "a"})", 1310},
      {R"({"items": [{}]})", 1310}, // as older drafts had it
      {R"({"exclusiveMinimum": true})", 1310},
      {R"({"nonsense": 1})", 1311},
      {R"({"properties": {"a": {"additionalItems": false}}})", 1311},
      {R"({"$schema": "http://json-schema.org/draft-07/schema#"})", 1311},
      {R"({"uniqueItems": true})", 1311},
      {R"({"$dynamicRef": "#a"})", 1311},
      {R"({"$ref": "#/$defs/none"})", 1312},
      {R"({"$ref": "https://example.com/other"})", 1312},
      {R"({"$ref": "#"})", 1313},
      {R"({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"})",
       1313},
      {R"({"minimum": 5, "maximum": 3})", 1314},
      {R"({"minLength": 5, "maxLength": 3})", 1314},
      {R"({"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 6})", 1305},
      {R"({"type": "string", "allOf": [{"minLength": 5}, {"maxLength": 3}]})", 1305},
      {R"({"enum": []})", 1305},
      {"false", 1305},
      {R"({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]})", 1305},
      {R"({"type": "string", "maxLength": 1000000})", 1306},
      {R"({"multipleOf": 123456789})", 1306},
      {R"({"type": "string", "pattern": "\\bword"})", 1308},
      {R"({"type": "string", "pattern": "("})", 1307},
  };
  for (auto [text, number] : wrong)
    EXPECT_EQ(refusal(Notation::JsonSchema, text), number) << text;
  EXPECT_EQ(refusal(Notation::JsonSchema, std::string(300, '[') + std::string(300, ']')), 1310);
}

TEST(Grammar, spellsJsonAsTheManualSays) {
  auto any = made(Notation::JsonSchema, "{}");
  for (const char *text : {"null", "-0.50", "6.02e23", "\"a\\n\\u00e9\\ud83d\\ude00\\/\"", "[]", "[1, 2,3]",
                           "{\n\t\"a\": 1,\n\t\"a\": {}\n}", "[\n]"})
    EXPECT_TRUE(allows(any, text)) << text;
  for (const char *text : {" null", "01", "1.", "+1", "\"\\ud83d\"", "\"\\u0041\"", "\"\n\"", "[1 ,2]", "[  1]",
                           "{\"a\" :1}", "[\n\n]", "nul", "[1,]"})
    EXPECT_FALSE(allows(any, text)) << text;
  // More names than may stand in any order: those of the schema first, in its order.
  auto many =
      made(Notation::JsonSchema, R"({"type": "object", "properties": {"b": {}, "a": {}, "c": {}, "d": {}, "e": {},
                                             "f": {}}, "required": ["a"]})");
  EXPECT_TRUE(allows(many, R"({"b": 1, "a": 2, "f": 3, "z": 4})"));
  EXPECT_FALSE(allows(many, R"({"a": 2, "b": 1})"));
  EXPECT_FALSE(allows(many, R"({"z": 4, "a": 2})"));
}

TEST(Grammar, boundsAreExactDecimals) {
  auto bounded = made(Notation::JsonSchema, R"({"type": "number", "minimum": -1.25, "exclusiveMaximum": 300.07})");
  for (const char *text :
       {"-1.25", "-1.250", "-1.2499999999999999999999", "-0", "0.0", "300.0699999999999999999", "99"})
    EXPECT_TRUE(allows(bounded, text)) << text;
  for (const char *text : {"-1.2500000000000000001", "-2", "300.07", "300.070", "300.1", "1000", "1e1"})
    EXPECT_FALSE(allows(bounded, text)) << text;
}

/// Pieces of what grammars here are made of, and of letters of several bytes.
std::vector<std::string> randomTokens(std::mt19937_64 &random, size_t count) {
  const std::string from = "{}[]\":, \nabtrue0123456789.-\\nul\u00e9\u4e2d\U0001f600";
  std::vector<std::string> tokens;
  for (size_t i = 0; i < count; ++i) {
    std::string token;
    for (size_t length = random() % 5; length > 0; --length)
      token += from[random() % from.size()];
    tokens.push_back(token); // often one that is there already, some of them empty
  }
  for (int byte = 0; byte < 256; ++byte)
    tokens.push_back(std::string(1, static_cast<char>(byte)));
  return tokens;
}

TEST(Grammar, masksAreThoseOfTryingEachToken) {
  const std::pair<Notation, const char *> grammars[] = {
      {Notation::JsonSchema, "{}"},
      {Notation::JsonSchema,
       R"({"type": "object", "properties": {"a": {"type": "integer"}, "\u00e9": {"enum": ["b", true, [1]]}},
                                 "required": ["a"], "additionalProperties": {"$ref": "#"}})"},
      {Notation::Regex, "([a-b0-9]+|\u00e9|\u4e2d\u4e2d?|[^a]{3}){2,5}"},
      {Notation::Gbnf,
       "root ::= value\nvalue ::= \"[\" value (\",\" value)* \"]\" | [0-9]+ | \"\\\"\" [^\"]* \"\\\"\""},
      {Notation::Gbnf, "root ::= twice*\ntwice ::= \"a\" twice? \"b\"? | \"tr\" | \"true\" twice"}, // many readings
      {Notation::Choices, "true,null,tru,\u00e9a"},
  };
  std::mt19937_64 random(17);
  size_t masksSeen = 0, leadsOut = 0;
  for (auto [notation, text] : grammars) {
    auto network = made(notation, text);
    for (int round = 0; round < 3; ++round) {
      const std::vector<std::string> tokens = randomTokens(random, 523);
      const std::vector<std::string_view> views(tokens.begin(), tokens.end());
      TokenMasks masks(network, std::make_shared<const TokenTree>(views));
      Matcher matcher(network);
      Mask mask;
      for (int step = 0; step < 31; ++step, ++masksSeen) {
        ASSERT_TRUE(masks.allowed(matcher, mask));
        std::vector<size_t> may;
        for (size_t id = 0; id < tokens.size(); ++id) {
          int32_t to = matcher.configuration();
          for (size_t i = 0; i < tokens[id].size() && to >= 0; ++i)
            to = matcher.configurations().step(to, static_cast<uint8_t>(tokens[id][i]));
          const bool follows = !tokens[id].empty() && to >= 0;
          ASSERT_EQ(mask[id / 64] >> (id % 64) & 1, follows ? 1u : 0u) << text << ": token \"" << tokens[id] << "\"";
          if (follows)
            may.push_back(id);
        }
        if (may.empty()) {
          ASSERT_TRUE(matcher.mayEnd()); // every beginning can be completed
          break;
        }
        const std::string &next = tokens[may[random() % may.size()]];
        leadsOut += next.size() > 1;
        matcher.accept(next);
      }
    }
  }
  EXPECT_GT(masksSeen, 300u);
  EXPECT_GT(leadsOut, 50u);
}

TEST(Grammar, forgettingChangesNothing) {
  auto any = made(Notation::JsonSchema, "{}");
  Matcher whole(any);
  std::string text;
  for (int i = 0; i < 3000; ++i)
    text += i % 7 == 3 ? "{\"a\":" : "[";
  ASSERT_EQ(whole.accept(text), text.size());
  Configurations pool(any);
  int32_t at = pool.begin();
  for (size_t i = 0; i < text.size(); ++i) {
    at = pool.step(at, static_cast<uint8_t>(text[i]));
    ASSERT_GE(at, 0);
    if (i % 97 == 0) {
      at = pool.forgetAllBut(at);
      EXPECT_EQ(pool.size(), 1u);
    }
  }
  std::string rest = "1";
  for (int i = 2999; i >= 0; --i)
    rest += i % 7 == 3 ? "}" : "]";
  for (size_t i = 0; i < rest.size(); ++i) {
    EXPECT_FALSE(pool.ends(at));
    at = pool.step(at, static_cast<uint8_t>(rest[i]));
    ASSERT_GE(at, 0) << i;
  }
  EXPECT_TRUE(pool.ends(at));
  EXPECT_EQ(whole.accept(rest), rest.size());
  EXPECT_TRUE(whole.mayEnd() && whole.mustEnd());
}

TEST(Grammar, textsReadInTooManyWaysAreAnError) {
  // After n letters the stacks are all ways to nest so many calls.
  auto network = made(Notation::Gbnf, "root ::= \"a\" root \"x\" | \"a\" root \"y\" | \"a\" root root \"z\" | \"a\"");
  Matcher matcher(network);
  std::string text(200, 'a');
  EXPECT_LT(matcher.accept(text), text.size());
  TokenMasks masks(network, std::make_shared<const TokenTree>(std::vector<std::string_view>{text}));
  Mask mask;
  Matcher fresh(network);
  EXPECT_FALSE(masks.allowed(fresh, mask));
}

TEST(Grammar, limitsSuffixesOfOnePart) {
  EXPECT_TRUE(allows(made(Notation::Gbnf, "root ::= \"a\"" + times(8, "?")), "a"));
  for (const char *suffix : {"?", "*", " +", "{1}", "{1,2} "})
    EXPECT_EQ(refusalSoon(Notation::Gbnf, "root ::= \"a\"" + times(60000, suffix)), 1302) << suffix;
  EXPECT_EQ(refusalSoon(Notation::Gbnf, "root ::= " + times(251, "(") + "\"a\"" + times(251, "********)")), 1302);
  EXPECT_EQ(refusalSoon(Notation::Gbnf, "root ::= " + times(250, "(") + "\"a\"" + times(250, "********)")), 0);
  EXPECT_EQ(refusalSoon(Notation::Regex, "a" + times(60000, "*")), 1307);
  EXPECT_EQ(refusalSoon(Notation::Regex, times(60000, "(") + "a" + times(60000, ")*")), 1307);
  EXPECT_EQ(refusalSoon(Notation::Regex, times(250, "(") + "a" + times(250, ")*")), 0);
}

TEST(Grammar, textsThatBeginInTooManyWaysAreRefused) {
  std::string root = "root ::= r0", rules;
  for (int i = 0; i < 5003; ++i) {
    root += i ? " | r" + std::to_string(i) : "";
    rules += "\nr" + std::to_string(i) + " ::= \"" + std::to_string(100000 + i) + "abcdef\"";
  }
  EXPECT_EQ(refusalSoon(Notation::Gbnf, root + rules), 1316);
}

// Each rule waits for the one before: what is known of a caller must not be found anew for each.
TEST(Grammar, manyRulesAreReadOnce) {
  std::string root = "root ::=", rules;
  for (int i = 0; i < 16381; ++i) {
    root += " r" + std::to_string(i) + " \"abcdefghijklmnopq\"";
    rules += "\nr" + std::to_string(i) + " ::= \"\"";
  }
  EXPECT_EQ(refusalSoon(Notation::Gbnf, root + rules), 1306); // states
  EXPECT_EQ(refusalSoon(Notation::Gbnf, "root ::= r0" + rules), 0);
  for (int i = 16381; i < 16390; ++i)
    rules += "\nr" + std::to_string(i) + " ::= \"\"";
  EXPECT_EQ(refusalSoon(Notation::Gbnf, "root ::= r0" + rules), 1306);
}

/// The texts that `item` says of 0 .. count - 1, with commas between.
template <typename Item> std::string listOf(int count, Item item) {
  std::string all;
  for (int i = 0; i < count; ++i)
    all += std::string(i ? "," : "") + item(std::to_string(i));
  return all;
}

TEST(Grammar, limitsWhatASchemaCosts) {
  const std::string contains = listOf(31, [](const std::string &i) { return R"({"contains": {"const": )" + i + "}}"; });
  EXPECT_EQ(refusalSoon(Notation::JsonSchema, R"({"allOf": [)" + contains + "]}"), 1306);
  const std::string denied =
      listOf(31, [](const std::string &i) { return R"({"not": {"properties": {"a": {"const": )" + i + "}}}}"; });
  EXPECT_EQ(refusalSoon(Notation::JsonSchema, R"({"allOf": [)" + denied + "]}"), 1306);
  // Each of the chain looks twice at the next one, or once.
  for (auto [count, twice] : {std::pair(41, true), std::pair(9973, false)}) {
    const std::string chain = listOf(count, [&, twice = twice](const std::string &i) {
      const std::string next = R"({"$ref": "#/$defs/a)" + std::to_string(std::stoi(i) + 1) + "\"}";
      return "\"a" + i + R"(": {"allOf": [)" + next + (twice ? "," + next : "") + "]}";
    });
    EXPECT_EQ(refusalSoon(Notation::JsonSchema, R"({"$ref": "#/$defs/a0", "unevaluatedProperties": false, "$defs": {)" +
                                                    chain + ", \"a" + std::to_string(count) + "\": {}}}"),
              1306);
  }
  // As many choices in a row, each of which is free.
  for (const char *parts : {"true, true", R"({"minimum": 1}, {"maximum": 7})"}) {
    const std::string choices =
        listOf(10007, [&](const std::string &) { return std::string(R"({"anyOf": [)") + parts + "]}"; });
    EXPECT_EQ(refusalSoon(Notation::JsonSchema, R"({"allOf": [)" + choices + "]}"), 1306) << parts;
  }
  const std::string parts = listOf(3001, [](const std::string &i) { return R"({"const": )" + i + "}"; });
  EXPECT_EQ(refusalSoon(Notation::JsonSchema, R"({"oneOf": [)" + parts + "]}"), 1306);
  EXPECT_EQ(refusalSoon(Notation::JsonSchema, R"({"not": {"oneOf": [)" + parts + "]}}"), 1306);
  // Each pattern alone is within the limits.
  const std::string patterns =
      listOf(331, [](const std::string &i) { return R"({"pattern": "a[^b]{13}()" + i + R"(|[^c]*)*"})"; });
  EXPECT_EQ(refusalSoon(Notation::JsonSchema, R"({"allOf": [)" + patterns + "]}"), 1306);
}

// Of rules that are no GBNF no more are read than a grammar has room for, and the one that is too much is named.
TEST(Grammar, readsOtherRulesUpToItsBound) {
  std::vector<OtherRule> others;
  size_t read = 0;
  for (int i = 0; i < 128; ++i)
    others.push_back({"r" + std::to_string(i), "tools[" + std::to_string(i) + "]", [&read]() -> Result<Grammar> {
                        ++read;
                        Grammar grammar;
                        grammar.rules[grammar.add("texts")].nfa.states.resize(3 * maxStates);
                        return grammar;
                      }});
  auto grammar = readGbnf("root ::= r0", others);
  ASSERT_FALSE(grammar);
  EXPECT_EQ(int(grammar.error().code), 1306);
  EXPECT_EQ(grammar.error().message.rfind("tools[2]: ", 0), 0u) << grammar.error().message;
  EXPECT_EQ(read, 3u); // 3 * 3 is more than 8
  const std::string text = R"({"type": "object", "properties": {"a": {"type": "string", "maxLength": 5003}}})";
  std::vector<SchemaRule> schemas(64, {"", text, ""});
  for (size_t i = 0; i < schemas.size(); ++i)
    schemas[i].name = "r" + std::to_string(i),
    schemas[i].where = "tools[" + std::to_string(i) + "].function.parameters";
  auto network = compileGbnf("root ::= r0", schemas);
  ASSERT_FALSE(network);
  EXPECT_EQ(int(network.error().code), 1306);
  EXPECT_EQ(network.error().message.rfind("tools[", 0), 0u) << network.error().message;
}

TEST(Grammar, limitsMembersAndPlacesOfASchema) {
  auto members = [](int count) {
    return "{" + listOf(count, [](const std::string &i) { return "\"m" + i + "\": {}"; }) + "}";
  };
  EXPECT_EQ(refusalSoon(Notation::JsonSchema, R"({"$defs": )" + members(8000) + "}"), 0);
  EXPECT_EQ(refusalSoon(Notation::JsonSchema, R"({"$defs": )" + members(450007) + "}"), 1306);
  EXPECT_EQ(refusalSoon(Notation::JsonSchema,
                        R"({"allOf": [)" +
                            listOf(7, [&](const std::string &) { return R"({"properties": )" + members(4001) + "}"; }) +
                            "]}"),
            1306);
  EXPECT_EQ(refusalSoon(Notation::JsonSchema, R"({"properties": {")" + std::string(1 << 20, 'n') + R"(": {"allOf": [)" +
                                                  listOf(997, [](const std::string &) { return "{}"; }) + "]}}}"),
            1306);
  const std::string references = listOf(20011, [](const std::string &) { return R"({"$ref": "#/$defs/m7999"})"; });
  EXPECT_EQ(refusalSoon(Notation::JsonSchema, R"({"allOf": [)" + references + R"(], "$defs": )" + members(8000) + "}"),
            1306);
  EXPECT_EQ(refusalSoon(Notation::JsonSchema,
                        R"({"enum": [)" + listOf(300007, [](const std::string &) { return "{}"; }) + "]}"),
            1306);
}

TEST(Grammar, refusesNumbersThatADoubleDoesNotHold) {
  for (const char *number :
       {"18446744073709551616", "-9223372036854775809", "0.1000000000000000055", "1e-400", "1e400"})
    for (const char *keyword : {"const", "minimum", "maximum", "multipleOf"})
      EXPECT_EQ(refusal(Notation::JsonSchema, std::string("{\"") + keyword + "\": " + number + "}"), 1310) << number;
  auto exact = made(Notation::JsonSchema, R"({"enum": [18446744073709551615, 0.1, 1.50, 1e20, -9223372036854775808]})");
  for (const char *text : {"18446744073709551615", "0.1", "1.5", "100000000000000000000", "-9223372036854775808"})
    EXPECT_TRUE(allows(exact, text)) << text;
  EXPECT_FALSE(allows(exact, "18446744073709551616"));
}

TEST(Grammar, limitsWalksForOneMask) {
  std::string root = "root ::= r0", rules;
  for (int i = 0; i < 4001; ++i) {
    root += i ? " | r" + std::to_string(i) : "";
    rules += "\nr" + std::to_string(i) + " ::= [a-t]* \"" + std::to_string(10000 + i) + "uvwxyz\"";
  }
  auto network = made(Notation::Gbnf, root + rules);
  std::vector<std::string> tokens;
  for (int i = 0; i < 20 * 20 * 20; ++i)
    tokens.push_back(
        {static_cast<char>('a' + i / 400), static_cast<char>('a' + i / 20 % 20), static_cast<char>('a' + i % 20)});
  TokenMasks masks(network,
                   std::make_shared<const TokenTree>(std::vector<std::string_view>(tokens.begin(), tokens.end())));
  Matcher matcher(network);
  Mask mask;
  const std::clock_t begin = std::clock();
  for (int i = 0; i < 3; ++i) // what is known of a state costs the same as what is not
    EXPECT_FALSE(masks.allowed(matcher, mask));
  EXPECT_LT(double(std::clock() - begin) / CLOCKS_PER_SEC, 5);
}

TEST(Grammar, limitsTheStepsOfTheSubsetConstruction) {
  // Each state has an edge for each of 2,003 letters from each of 2,003 places.
  std::string each;
  for (int i = 0; i < 2003; ++i) {
    const int point = 0x4e00 + i;
    each += std::string(i ? "|" : "") + ".*" + static_cast<char>(0xe0 | point >> 12) +
            static_cast<char>(0x80 | (point >> 6 & 63)) + static_cast<char>(0x80 | (point & 63)) + "1";
  }
  EXPECT_EQ(refusalSoon(Notation::Regex, "(" + each + ")"), 1306);
  // A class of many ranges, many times.
  std::string ranges;
  for (int i = 0x800; i < 0xd800; i += 2)
    ranges += std::string(1, static_cast<char>(0xe0 | i >> 12)) + static_cast<char>(0x80 | (i >> 6 & 63)) +
              static_cast<char>(0x80 | (i & 63));
  EXPECT_EQ(refusalSoon(Notation::Regex, "([" + ranges + "]{997}){997}"), 1306);
  EXPECT_EQ(refusalSoon(Notation::Gbnf, "root ::= ([" + ranges + "]{997}){997}"), 1306);
  // Rules whose automata are large until they are minimised, and then have one state.
  std::string rules;
  for (int i = 0; i < 499; ++i)
    rules += "\nr" + std::to_string(i) + " ::= [ab]* \"a\" [ab]{13} | [ab]*";
  std::string root = "root ::= \"x\"";
  for (int i = 0; i < 499; ++i)
    root += " | \"y" + std::to_string(i) + "\" r" + std::to_string(i);
  EXPECT_EQ(refusalSoon(Notation::Gbnf, root + rules), 1306);
}

TEST(Grammar, readsOctalEscapesAndQuotations) {
  auto octal = made(Notation::Regex, R"(\101\x42[\103-\105]\07)");
  EXPECT_TRUE(allows(octal, "ABD\a"));
  EXPECT_FALSE(allows(octal, "ABA\a"));
  EXPECT_EQ(refusal(Notation::Regex, R"((a)\7)"), 1308);
  EXPECT_EQ(refusal(Notation::Regex, R"((a)\18)"), 1308);
  auto quoted = made(Notation::Regex, R"(\Qa.b\E*c\Q\E)");
  for (const char *text : {"a.c", "a.bbbc"})
    EXPECT_TRUE(allows(quoted, text)) << text;
  EXPECT_FALSE(allows(quoted, "a.ba.bc"));
  EXPECT_EQ(refusal(Notation::Regex, R"(\Qab\E**)"), 1307);
}

} // namespace
