//! Follows the tutorial as a reader does: writes each file where the page says, builds, starts the programs, and compares what they
//! print with what the page shows.
//!
//! The one thing that is changed is the port, so that tests can run side by side. The crate is built apart from this workspace, with
//! the dependencies that it names itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use daffi::Global;

use crate::{
    programs::{Program, System, run},
    read, root,
};

/// The tutorial in the order in which it is read.
const PAGES: [&str; 5] = ["programs", "controller", "stream", "error", "test"];

/// The reader's crate after some pages.
struct Crate {
    page: String,
    directory: PathBuf,
}

impl Crate {
    /// After this page and all before it.
    fn after(last: &str) -> Self {
        let tutorial = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tutorial");
        let this = Self { page: page(last), directory: tutorial.join(last) };
        let read_so_far = PAGES.iter().position(|page| *page == last).unwrap() + 1;
        // What `cargo new --lib` makes is replaced, or empty.
        this.write("src/lib.rs", "");
        for text in PAGES[..read_so_far].iter().map(|name| page(name)) {
            for (path, content) in files(&text) {
                this.write(path, content);
            }
        }
        fs::copy(root().join("Cargo.lock"), this.directory.join("Cargo.lock")).unwrap();
        this
    }

    fn write(&self, path: &str, content: &str) {
        let content = match path {
            "Cargo.toml" => {
                let here = toml_string(root());
                content.replace("\"../daffi\"", &here) + "\n[workspace]\n"
            }
            _ => content.replace(
                "Global::builder()",
                "Global::builder().port(std::env::var(\"DAFFI_PORT\").unwrap().parse().unwrap())",
            ),
        };
        let path = self.directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Runs cargo there; the directory of what it built.
    fn cargo(&self, command: &[&str]) -> PathBuf {
        let target = self.directory.parent().unwrap().join("target");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(command).arg("--offline").current_dir(&self.directory).env("CARGO_TARGET_DIR", &target);
        // Neither is looked at, and both are large.
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "false").env("CARGO_INCREMENTAL", "0");
        let output = cargo.output().unwrap();
        let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "cargo {command:?} in {}:\n{out}{errors}", self.directory.display());
        target.join("debug")
    }

    /// Waits for each of these lines in turn, which the page shows.
    async fn says(&self, program: &mut Program, lines: &[&str]) {
        self.shows(lines);
        for line in lines {
            program.says(line).await;
        }
    }

    /// Takes lines that may come in any order, and that the page shows.
    fn said(&self, mut lines: Vec<String>, mut expected: Vec<&str>) {
        self.shows(&expected);
        lines.sort_unstable();
        expected.sort_unstable();
        assert_eq!(lines, expected);
    }

    fn shows(&self, lines: &[&str]) {
        for line in lines {
            assert!(self.page.lines().any(|shown| shown == *line), "the page does not show {line:?}");
        }
    }
}

fn page(name: &str) -> String {
    read(format!("docs/book/src/tutorial/{name}.md"))
}

/// The files of a page: each is a block after its path in bold.
fn files(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("\n**`").skip(1).map(|rest| {
        let (path, rest) = rest.split_once("`**\n\n```").expect("a block follows a path");
        let (_, rest) = rest.split_once('\n').unwrap();
        let (content, _) = rest.split_once("\n```").expect("a block ends");
        (path, content)
    })
}

fn toml_string(path: &Path) -> String {
    format!("'{}'", path.display())
}

/// The controller, as a program of its own would be.
async fn controller(system: &System) -> Global {
    let builder = Global::builder().init_node(false).init_controller(true).host("127.0.0.1").port(system.port());
    builder.state_dir(system.path("state")).start().await.unwrap()
}

/// All in one test, since cargo builds one crate after the other anyway.
#[test]
fn the_tutorial_does_what_it_says() {
    programs();
    controller_apart();
    stream();
    error();
    Crate::after("test").cargo(&["test"]);
}

fn programs() {
    let after = Crate::after("programs");
    let built = after.cargo(&["build", "--bins"]);
    run(async {
        let system = System::new();
        let mut desk = system.start_program(&built.join("desk"), &[]);
        let mut station = system.start_program(&built.join("station"), &[]);
        after.says(&mut station, &["the station is there"]).await;
        after.says(&mut desk, &["hall: 20 °C", "cellar: 11.5 °C"]).await;
        assert_eq!(desk.ends_well().await, [""; 0]);
    });
}

fn controller_apart() {
    let after = Crate::after("controller");
    let built = after.cargo(&["build", "--bins"]);
    run(async {
        let system = System::new();
        let controller = controller(&system).await;
        let mut north = system.start_program(&built.join("station"), &["north"]);
        after.says(&mut north, &["north is there"]).await;
        let mut south = system.start_program(&built.join("station"), &["south"]);
        after.says(&mut south, &["south is there"]).await;
        let desk = system.start_program(&built.join("desk"), &[]);
        assert_eq!(desk.ends_well().await, ["hall: 20 °C", "cellar: 11.5 °C"]);
        // Who is first is for the desk's node to say.
        let asked = vec![north.line().await, south.line().await];
        after.said(asked, vec!["desk asks for the hall", "desk asks for the cellar"]);
        drop(controller);
    });
}

fn stream() {
    let after = Crate::after("stream");
    let built = after.cargo(&["build", "--bins"]);
    run(async {
        let system = System::new();
        let controller = controller(&system).await;
        let mut desk = system.start_program(&built.join("desk"), &[]);
        let mut station = system.start_program(&built.join("station"), &["north"]);
        let (asks, took) = ("desk asks for the cellar", "desk took 5 of 5 readings");
        after.says(&mut station, &["north is there", asks, took]).await;
        assert_eq!(station.ends_well().await, [""; 0]);
        let answer = "the cellar has 11.5 °C at the moment";
        let readings =
            ["hall has 15 °C", "cellar has 15.5 °C", "hall has 16 °C", "cellar has 16.5 °C", "hall has 17 °C"];
        let said = lines(&mut desk, 6).await;
        assert_eq!(said.iter().filter(|line| *line != answer).collect::<Vec<_>>(), readings, "they come in order");
        after.said(said, [&[answer][..], &readings].concat());
        drop(controller);
    });
}

fn error() {
    let after = Crate::after("error");
    let built = after.cargo(&["build", "--bins"]);
    run(async {
        let system = System::new();
        let controller = controller(&system).await;
        let mut desk = system.start_program(&built.join("desk"), &[]);
        let mut station = system.start_program(&built.join("station"), &["north"]);
        let (cellar, attic) = ("desk asks for the cellar", "desk asks for the attic");
        after.says(&mut station, &["north is there", cellar, attic, "desk took 5 of 5 readings"]).await;
        let answers = ["the cellar has 11.5 °C at the moment", "nobody has measured the attic"];
        let mut said = lines(&mut desk, 7).await;
        said.retain(|line| !line.starts_with("hall has") && !line.starts_with("cellar has"));
        after.said(said, answers.to_vec());
        drop(controller);
    });
}

async fn lines(program: &mut Program, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..count {
        lines.push(program.line().await);
    }
    lines
}
