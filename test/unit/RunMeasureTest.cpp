// inspect and bench as a user runs them, on the toy model.
#include "test/unit/RunOutput.h"
#include "test/unit/ToyModel.h"
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

using nlohmann::json;
using stepdown::test::linesOf;
using stepdown::test::Output;
using stepdown::test::run;
using stepdown::test::temporaryFile;
using stepdown::test::textOf;
using stepdown::test::ToyModel;

namespace {

struct RunMeasure : testing::Test {
  ToyModel toy;
  std::string model = toy.write();
};

TEST_F(RunMeasure, inspectsAndMeasures) {
  json description = json::parse(run("inspect " + model + " --json").out);
  EXPECT_EQ(description["metadata"]["general.name"], "Toy");
  EXPECT_EQ(description["targets"].size(), 2u);
  EXPECT_EQ(description["memory_plan"]["kv_bytes_per_position"], 2 * 2 * 4 * 4);
  json table = json::parse(run("bench " + model + " -p 30 -n 5 -d 10 -t 1,2 -r 3 --json").out);
  ASSERT_EQ(table.size(), 4u);
  EXPECT_EQ(table[0]["test"], "pp30@d10");
  EXPECT_EQ(table[1]["test"], "tg5@d10");
  EXPECT_EQ(table[3]["threads"], 2);
  EXPECT_EQ(table[0]["runs"].size(), 3u);
}

TEST_F(RunMeasure, measuresRequestsThatComeByChance) {
  const std::string load = "bench " + model + " --serve -t 1 -p 5,9 -n 3,7 --rate 700 --requests 31 --seed 5";
  Output done = run(load + " --json --price-per-hour 2 --parallel 3 --plot " + model + ".svg");
  ASSERT_EQ(done.status, 0) << done.err;
  json told = json::parse(done.out);
  EXPECT_EQ(told["answered"], 31);
  EXPECT_EQ(told["failed"], 0);
  EXPECT_EQ(json::parse(run(load + " --json").out)["tokens"], told["tokens"]); // the same load
  EXPECT_NEAR(told["cost_per_million_tokens"].get<double>() * told["tokens_per_second"].get<double>(), 2e6 / 3600, 0.1);
  for (const char *times : {"ttft_ms", "tpot_ms"}) {
    EXPECT_LE(told[times]["p50"], told[times]["p99"]);
    EXPECT_GT(told[times]["p50"], 0);
  }
  std::ifstream plot(model + ".svg");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(plot), {}).compare(0, 5, "<svg "), 0);
  EXPECT_NE(run(load).out.find("31 answers, 0 failed"), std::string::npos);
  const std::pair<const char *, const char *> wrong[] = {
      {" --serve --rate 0", "E0905"},
      {" --serve --rate -1", "E0905"},
      {" --serve --rate nan", "E0905"},
      {" --serve -p 0", "E0905"},
      {" --serve -n 3,0", "E0905"},
      {" --serve --requests 0", "E0905"},
      {" --serve -t 1,2", "E0905"},
      {" --rate 2", "E0905"},
      {" --plot a.svg", "E0905"},
      {" --serve -p 5000", "E0606"},
      {" --serve --price-per-hour -1", "E0905"},
      {" --serve -p 1048577", "E0905"},
      {" --serve -d 0", "E0905"},
      {" --serve -r 3", "E0905"},
      {" --serve --api-key k", "E0905"},
      {" --serve --timeout 3", "E0905"},
      {" --timeout 3", "E0905"},
      {" --serve --plot /nowhere/x.svg", "E0903"}}; // of all requests, none is sent
  for (auto [words, code] : wrong)
    EXPECT_NE(run("bench " + model + words).err.find(code), std::string::npos) << words;
  Output full = run("bench " + model + " --serve -p 5 -n 3 --rate 900 --requests 2 --plot /dev/full");
  EXPECT_NE(full.err.find("E0903"), std::string::npos) << full.err;
  EXPECT_NE(full.out.find("2 answers, 0 failed"), std::string::npos) << full.out; // which is not lost
  for (const char *words : {"-t 1", "--parallel 3", "--isa x86-64-v3", "--device cpu", "--exact", "--verbose"})
    EXPECT_NE(run(std::string("bench http://127.0.0.1:1 --serve ") + words).err.find("E0905"), std::string::npos)
        << words;
  for (auto [url, code] : {std::pair("http://127.0.0.1:1", "E0901"), std::pair("http://example.org", "E0905"),
                           std::pair("http://127.0.0.1:99999", "E0905"), std::pair("http://", "E0905")})
    EXPECT_NE(run(std::string("bench ") + url + " --serve").err.find(code), std::string::npos) << url;
}

} // namespace
