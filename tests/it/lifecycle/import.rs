//! `mingpian import-spend`: a file goes in to the cent, however often it is killed.

use std::{
    fs,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use mingpian::domain::{Day, Zone};

use super::{column, database, path, times};
use crate::{
    on_both_engines,
    support::{Clock, Engine, Scratch},
};

on_both_engines!(
    a_file_goes_in_and_again_is_unchanged,
    rejected_rows_are_written_beside_the_file,
    rows_of_a_source_too_many_are_rejected,
    days_are_completed_where_every_row_was_good,
    a_file_is_in_to_the_cent_after_every_kill,
);

fn today() -> Day {
    Zone::SHANGHAI.day(Clock::default().now())
}

pub fn command(scratch: &Scratch, file: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mingpian"));
    command
        .args(["import-spend", file, "--config"])
        .arg(path(scratch, "settings.toml"))
        .stdin(Stdio::null());
    command
}

/// Its exit code, and what it said.
fn run(scratch: &Scratch, file: &str, more: &[&str]) -> (i32, String) {
    let output: Output = command(scratch, file).args(more).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(said).unwrap(),
    )
}

async fn scratch(engine: Engine) -> Scratch {
    let scratch = Scratch::new(engine).await;
    scratch.settings("");
    scratch
}

async fn a_file_goes_in_and_again_is_unchanged(engine: Engine) {
    let s = scratch(engine).await;
    let (file, today) = (path(&s, "f.csv"), today());
    // Columns in another order, a mark of byte order, quotes, and the line ends of Windows.
    let rows = format!(
        "\u{feff}currency,amount,merchant,day,source\r\n\
         CNY,1000.01,klook,{today},juguang\r\nCNY,\"-5.5\",a,{},refunds\r\n",
        today - 400
    );
    fs::write(&file, rows).unwrap();
    let (code, said) = run(&s, &file, &[]);
    assert!(
        code == 0 && said.contains("accepted 2, unchanged 0, replaced 0, rejected 0"),
        "{said}"
    );
    // Standard error is no terminal here: no bar.
    assert_eq!(said.lines().count(), 1);
    let (_, said) = run(&s, &file, &[]);
    assert!(
        said.contains("accepted 0, unchanged 2, replaced 0"),
        "{said}"
    );
    let changed = fs::read_to_string(&file).unwrap().replace("1000.01", "7");
    fs::write(&file, changed).unwrap();
    let (_, said) = run(&s, &file, &[]);
    assert!(
        said.contains("accepted 0, unchanged 1, replaced 1"),
        "{said}"
    );
    let db = database(&s).await;
    let sums = "SELECT CONCAT(merchant, ' ', sum(delta)) FROM spend GROUP BY merchant ORDER BY 1";
    assert_eq!(column(&db, sums).await, ["a -550", "klook 700"]);
    let authors = "SELECT DISTINCT author FROM spend_imports WHERE finish_time IS NOT NULL";
    assert_eq!(column(&db, authors).await, ["import-spend"]);
    assert!(!s.file("f.csv.rejects.csv").exists());
}

async fn rejected_rows_are_written_beside_the_file(engine: Engine) {
    let s = scratch(engine).await;
    let (file, today) = (path(&s, "f.csv"), today());
    let rows = [
        ("merchant", format!("K,{today},juguang,1,CNY")),
        ("day", format!("a,{},juguang,1,CNY", today + 1)),
        ("day", format!("a,{},juguang,1,CNY", today - 401)),
        ("day", "a,2026-02-30,juguang,1,CNY".to_owned()),
        ("source", format!("a,{today},J,1,CNY")),
        ("amount", format!("a,{today},juguang,1.001,CNY")),
        ("amount", format!("a,{today},juguang,一,CNY")),
        ("amount", format!("a,{today},juguang,1e3,CNY")),
        ("currency", format!("a,{today},juguang,1,USD")),
        ("row", format!("a,{today},juguang,1")),
    ];
    let bad: String = rows.iter().map(|(_, row)| format!("{row}\n")).collect();
    let good = format!("good,{today},juguang,1,CNY\n");
    fs::write(
        &file,
        format!("merchant,day,source,amount,currency\n{good}{bad}"),
    )
    .unwrap();
    let (code, said) = run(&s, &file, &[]);
    assert!(
        code == 65 && said.contains("accepted 1, unchanged 0, replaced 0, rejected 10"),
        "{said}"
    );
    let rejects = fs::read_to_string(s.file("f.csv.rejects.csv")).unwrap();
    let mut lines = rejects.lines();
    assert_eq!(
        lines.next().unwrap(),
        "line,field,reason,merchant,day,source,amount,currency"
    );
    for ((n, (field, row)), line) in (3..).zip(&rows).zip(lines) {
        assert!(line.starts_with(&format!("{n},{field},")), "{line}");
        assert!(line.ends_with(row), "{line}");
    }
    // Line ends of Windows, blank lines, and a last line that does not end.
    for (text, lines) in [
        ("a,b,c,d,CNY\r\n\r\ne,f,g,h,CNY\r\n", ["2,", "4,"]),
        ("\na,b,c,d,CNY\n\n\ne,f,g,h,CNY", ["3,", "6,"]),
    ] {
        let text = format!("merchant,day,source,amount,currency\n{text}");
        fs::write(&file, text).unwrap();
        assert_eq!(run(&s, &file, &[]).0, 65);
        let rejects = fs::read_to_string(s.file("f.csv.rejects.csv")).unwrap();
        for (line, begins) in rejects.lines().skip(1).zip(lines) {
            assert!(line.starts_with(begins), "{begins} in {rejects}");
        }
        assert_eq!(rejects.lines().count(), 3);
    }
    // What is mended leaves nothing behind.
    fs::write(
        &file,
        format!("merchant,day,source,amount,currency\n{good}"),
    )
    .unwrap();
    assert_eq!(run(&s, &file, &[]).0, 0);
    assert!(!s.file("f.csv.rejects.csv").exists());

    for header in [
        "",
        "merchant,day,source,amount\n",
        "merchant,day,source,amount,amount\n",
    ] {
        fs::write(&file, header).unwrap();
        assert_eq!(run(&s, &file, &[]).0, 65, "{header}");
    }
    assert_eq!(run(&s, &path(&s, "none.csv"), &[]).0, 66);
    assert_eq!(run(&s, s.dir.path().to_str().unwrap(), &[]).0, 66);
}

async fn rows_of_a_source_too_many_are_rejected(engine: Engine) {
    let s = Scratch::new(engine).await;
    s.settings("[spend]\nmost_sources = 2\n");
    let (file, today) = (path(&s, "f.csv"), today());
    let row = |source: &str| format!("a,{},{source},1,CNY\n", today - 1);
    let rows = ["juguang", "qianfan", "juguan", "juguang"]
        .map(row)
        .concat();
    let text = format!("merchant,day,source,amount,currency\n{rows}");
    fs::write(&file, &text).unwrap();
    for (run_of, counts) in [
        (&text, "accepted 2, unchanged 1"),
        (&(text.clone() + "\n"), "accepted 0, unchanged 3"),
    ] {
        fs::write(&file, run_of).unwrap();
        let (code, said) = run(&s, &file, &["--complete"]);
        assert_eq!(code, 65, "{said}");
        assert!(
            said.contains(counts) && said.contains("rejected 1; days complete 2"),
            "{said}"
        );
        let rejects = fs::read_to_string(s.file("f.csv.rejects.csv")).unwrap();
        let rejected: Vec<_> = rejects.lines().skip(1).collect();
        assert!(
            rejected.len() == 1 && rejected[0].starts_with("4,source,"),
            "{rejects}"
        );
    }
}

async fn days_are_completed_where_every_row_was_good(engine: Engine) {
    let s = scratch(engine).await;
    let (file, today) = (path(&s, "f.csv"), today());
    let text = |more: &str| {
        let days = [today, today - 1, today - 2];
        let rows = days.map(|day| format!("a,{day},juguang,1,CNY\n")).concat();
        format!("merchant,day,source,amount,currency\n{rows}{more}")
    };
    let complete = "SELECT CAST(day AS text) FROM spend_days WHERE complete_time IS NOT NULL \
                    ORDER BY day";
    fs::write(&file, text(&format!("?,{today},,1,CNY\n"))).unwrap();
    let (_, said) = run(&s, &file, &["--complete"]);
    assert!(said.contains("days complete 0"), "{said}");
    let db = database(&s).await;

    fs::write(&file, text(&format!("?,{},juguang,1,CNY\n", today - 1))).unwrap();
    assert!(run(&s, &file, &[]).1.contains("days complete 0"));
    let (_, said) = run(&s, &file, &["--complete"]);
    assert!(said.contains("days complete 1"), "{said}");
    assert_eq!(column(&db, complete).await, [(today - 2).0.to_string()]);

    fs::write(&file, text("")).unwrap();
    assert!(
        run(&s, &file, &["--complete"])
            .1
            .contains("days complete 2")
    );
    let both = [today - 2, today - 1].map(|day| day.0.to_string());
    assert_eq!(column(&db, complete).await, both);
}

/// The cents of a row: some come again, later in the file, with another amount.
fn cents(n: u64) -> i64 {
    i64::try_from(n.wrapping_mul(2_654_435_761) % 1_000_003).unwrap() - 200_000
}

/// `TEST_KILLS=20 tests/run import` for the long run.
async fn a_file_is_in_to_the_cent_after_every_kill(engine: Engine) {
    const ROWS: u64 = 400_000;
    const AGAIN: u64 = 20_000;
    let s = scratch(engine).await;
    let (file, today) = (path(&s, "f.csv"), today());
    let mut text = String::from("merchant,day,source,amount,currency\n");
    let mut total = 0;
    for n in 0..ROWS + AGAIN {
        let (row, cents) = (n % ROWS, cents(n));
        let day = today - i32::try_from(row % 30).unwrap();
        let (sign, abs) = (if cents < 0 { "-" } else { "" }, cents.abs());
        let (units, rest) = (abs / 100, abs % 100);
        text += &format!("m{row},{day},juguang,{sign}{units}.{rest:02},CNY\n");
        if n >= AGAIN {
            total += cents;
        }
    }
    fs::write(&file, text).unwrap();
    let mut killed = 0;
    let mut wait = Duration::from_millis(150);
    while killed < times("TEST_KILLS", 3) {
        let mut child = command(&s, &file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(wait);
        if let Some(status) = child.try_wait().unwrap() {
            // It was done before its time: begin anew, and be quicker.
            assert!(status.success());
            wait /= 2;
            let mut text = fs::read_to_string(&file).unwrap();
            text.push('\n');
            fs::write(&file, text).unwrap();
            continue;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
        // Later each time, so that chunks come in between.
        wait += Duration::from_millis(350);
    }
    let (code, said) = run(&s, &file, &[]);
    assert_eq!(code, 0, "{said}");
    let db = database(&s).await;
    let sum = "SELECT CAST(sum(delta) AS text) FROM spend";
    assert_eq!(column(&db, sum).await, [total.to_string()]);
    let keys = "SELECT CAST(count(*) AS text) FROM spend WHERE version = 1";
    assert_eq!(column(&db, keys).await, [ROWS.to_string()]);
    assert!(said.contains("rejected 0"), "{said}");
}
