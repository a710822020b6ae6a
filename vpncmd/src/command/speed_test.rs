//! Measuring how fast a network is.

use std::{sync::mpsc, time::Duration};

use protocol::{
    error::ErrorCode,
    speed_test::{Direction, MAX_CONNECTIONS, PORT, on_ethernet},
};
use serde_json::json;

use crate::{
    check,
    command::{Command, Scope},
    console::Console,
    failure::{Failure, Outcome},
    params::{Arguments, Param},
    shell::Shell,
    speed_test::{
        client::{self, Measured, Plan},
        runtime, server,
    },
    table::Table,
    text,
};

/// Seconds, when nobody says how many.
const SPAN: u32 = 15;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "TrafficServer",
        title: "Wait for speed tests",
        help: "Waits for TrafficClient of other machines and measures with it, until Enter is pressed. It runs here, \
               whatever this tool is connected to. Whoever reaches the port can use it: do not leave it running.",
        params: &[
            Param::word("port", "The TCP port; 9821 when left out.").check(check::port),
            Param::named("NOHUP", "yes: do not wait for Enter, run until killed."),
        ],
        scope: Scope::Local,
        run: serve,
    },
    Command {
        name: "TrafficClient",
        title: "Test the speed to another machine",
        help: "Measures how much TCP carries to and from a machine where TrafficServer runs. It runs here, whatever \
               this tool is connected to.\n\
               What is counted is the contents of the TCP connections; what they are on an Ethernet is computed, \
               unless /RAW is given.",
        params: &[
            Param::word("host:port", "The machine, and the port if it is not 9821.")
                .ask("Measurement Server Name and Port Number (9821 if omitted): ")
                .check(check::host),
            Param::named("NUMTCP", "TCP connections at once, 1 to 32; 32 when left out.").check(connections),
            Param::named("TYPE", "download, upload or full, which is both and the default.").check(kind),
            Param::named("SPAN", "Seconds to measure; 15 when left out."),
            Param::named(
                "DOUBLE",
                "yes: show twice the speed, for what is both received and sent by a device between.",
            ),
            Param::named("RAW", "yes: leave out what headers take."),
        ],
        scope: Scope::Local,
        run: measure,
    },
];

fn connections(value: &str) -> Result<(), String> {
    if text::leading_number(value) <= MAX_CONNECTIONS {
        Ok(())
    } else {
        Err(format!("At most {MAX_CONNECTIONS} TCP connections are used."))
    }
}

/// The three words, or their beginnings.
fn kind(value: &str) -> Result<(), String> {
    let value = value.to_ascii_lowercase();
    if ["download", "upload", "full"]
        .iter()
        .any(|kind| kind.starts_with(&value))
    {
        Ok(())
    } else {
        Err("The type is download, upload or full.".to_owned())
    }
}

fn serve(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let port = match arguments.number("port") {
        0 => PORT,
        // The check has seen that it is one.
        port => u16::try_from(port).unwrap_or(PORT),
    };
    let cannot = |error: std::io::Error| {
        Failure::Local(format!(
            "TCP port {port} cannot be opened: {error}. Perhaps another program has it."
        ))
    };
    let runtime = runtime().map_err(cannot)?;
    let listeners = runtime.block_on(server::listen(port)).map_err(cannot)?;
    let (events, heard) = mpsc::channel();
    runtime.spawn(server::serve(listeners, events));
    let console = &mut shell.console;
    console.remark(&format!("Waiting for speed tests on TCP port {port}."));
    if arguments.yes("NOHUP") {
        while let Ok(event) = heard.recv() {
            tell(console, &event);
        }
    } else {
        console.remark("Press Enter to end.\n");
        console.wait(|console| heard.try_iter().for_each(|event| tell(console, &event)))?;
    }
    runtime.shutdown_background();
    console.remark("The speed tests have ended.");
    Ok(())
}

fn tell(console: &mut Console, event: &server::Event) {
    console.remark(&match event {
        server::Event::Connected(number, peer) => format!("Connection {number}: {peer} has come."),
        server::Event::Gone(number, peer) => format!("Connection {number}: {peer} has gone."),
    });
}

fn measure(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let plan = plan(arguments)?;
    let (double, raw) = (arguments.yes("DOUBLE"), arguments.yes("RAW"));
    if !shell.console.bare() {
        announce(&mut shell.console, &plan, double, raw);
    }
    let runtime = runtime().map_err(|error| Failure::Local(format!("Cannot start: {error}.")))?;
    let console = &mut shell.console;
    let measured = runtime.block_on(client::measure(&plan, |number, direction| {
        console.remark(&format!(
            "TCP connection {number} stands: {}.",
            words(&[direction])
        ));
    }));
    let measured = measured.map_err(|error| Failure::Failed {
        code: ErrorCode::ConnectFailed,
        text: format!(
            "The speed test with {} port {} failed: {error}.",
            plan.host, plan.port
        ),
    })?;
    let result = Speed::of(measured, double, raw);
    if shell.console.style.json {
        shell.console.json(&result.json());
    } else {
        shell.console.print_line("");
        shell.console.table(&result.table());
    }
    Ok(())
}

fn plan(arguments: &Arguments) -> Outcome<Plan> {
    // The check has read it once already.
    let (host, port) = text::parse_host(arguments.text("host:port"), PORT).unwrap_or_default();
    let number = match arguments.number("NUMTCP") {
        0 => MAX_CONNECTIONS,
        number => number,
    };
    let turns = match arguments
        .text("TYPE")
        .chars()
        .next()
        .map(|c| c.to_ascii_lowercase())
    {
        Some('d') => [Direction::Download; 2],
        Some('u') => [Direction::Upload; 2],
        _ if number % 2 == 1 => {
            return Err(Failure::Failed {
                code: ErrorCode::InvalidParameter,
                text: "With both directions, half of the TCP connections are for each: /NUMTCP must be even."
                    .to_owned(),
            });
        }
        _ => [Direction::Download, Direction::Upload],
    };
    let span = match arguments.number("SPAN") {
        0 => SPAN,
        seconds => seconds,
    };
    Ok(Plan {
        host,
        port,
        directions: turns.into_iter().cycle().take(number as usize).collect(),
        span: Duration::from_secs(span.into()),
    })
}

/// The directions in the words of the stock tool.
fn words(directions: &[Direction]) -> &'static str {
    let has = |direction| directions.contains(&direction);
    match (has(Direction::Download), has(Direction::Upload)) {
        (true, true) => "Full (Server < -- > Client)",
        (false, true) => "Upload (Client to Server)",
        _ => "Download (Server to Client)",
    }
}

fn announce(console: &mut Console, plan: &Plan, double: bool, raw: bool) {
    for (name, value) in [
        ("Destination Host Name", plan.host.clone()),
        ("Destination TCP Port Number", plan.port.to_string()),
        (
            "Number of TCP Connections to Establish",
            plan.directions.len().to_string(),
        ),
        ("Data Transfer Direction", words(&plan.directions).to_owned()),
        (
            "Data Transmission Time",
            format!("{:.1} seconds", plan.span.as_secs_f64()),
        ),
        (
            "Data Correction for Ethernet Frames",
            text::yes_no(!raw).to_owned(),
        ),
        (
            "Measurement of Total Speed of Relay Device Input Output",
            text::yes_no(double).to_owned(),
        ),
    ] {
        console.print_line(&format!("{name:<35} {value}"));
    }
    console.print_line("");
}

/// A measurement as it is shown.
struct Speed {
    span: Duration,
    raw: bool,
    double: bool,
    download: u64,
    upload: u64,
}

impl Speed {
    fn of(measured: Measured, double: bool, raw: bool) -> Self {
        let shown = |bytes| {
            let bytes = if raw { bytes } else { on_ethernet(bytes) };
            if double { bytes.saturating_mul(2) } else { bytes }
        };
        Self {
            span: measured.span,
            raw,
            double,
            download: shown(measured.download),
            upload: shown(measured.upload),
        }
    }

    fn total(&self) -> u64 {
        self.download.saturating_add(self.upload)
    }

    /// Bits per second.
    fn rate(&self, bytes: u64) -> u64 {
        let bits = u128::from(bytes) * 8 * 1000;
        let rate = bits.checked_div(self.span.as_millis()).unwrap_or(0);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&["Item Name", "Normal View", "Simplified View"]);
        table.right(&[1, 2]);
        table.row(["Time Span for Measurement", &clock(self.span), ""]);
        table.row(["Data Correction for Ethernet Frames", text::yes_no(!self.raw), ""]);
        for (name, bytes) in [
            ("Communication Data Volume in Download Direction", self.download),
            ("Communication Data Volume in Upload Direction", self.upload),
            ("Total Communication Data Volume", self.total()),
        ] {
            let exact = format!("{} Bytes", text::thousands(bytes));
            table.row([name.to_owned(), exact, short(bytes, "Bytes")]);
        }
        table.row([
            "Relay Device Input Output Total Throughput Computation",
            text::yes_no(self.double),
            "",
        ]);
        for (name, bytes) in [
            ("Average Throughput in Download Direction", self.download),
            ("Average Throughput in Upload Direction", self.upload),
            ("Total Average Throughput", self.total()),
        ] {
            let rate = self.rate(bytes);
            let exact = format!("{} bps", text::thousands(rate));
            table.row([name.to_owned(), exact, short(rate, "bps")]);
        }
        table
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "SpanMilliseconds": u64::try_from(self.span.as_millis()).unwrap_or(u64::MAX),
            "EthernetFrames": !self.raw,
            "Doubled": self.double,
            "DownloadBytes": self.download,
            "UploadBytes": self.upload,
            "DownloadBitsPerSecond": self.rate(self.download),
            "UploadBitsPerSecond": self.rate(self.upload),
        })
    }
}

/// `00:00:15.003`.
fn clock(span: Duration) -> String {
    let (seconds, rest) = (span.as_secs(), span.subsec_millis());
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{rest:03}", seconds % 60)
}

/// `1.89 GBytes`, `5.32 Gbps`: a thousand of one is one of the next.
fn short(number: u64, unit: &str) -> String {
    const STEPS: [(u64, &str); 4] = [
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (1_000, "K"),
    ];
    match STEPS.iter().find(|(step, _)| number >= *step) {
        Some((step, letter)) => {
            let hundredths = (u128::from(number) * 100 + u128::from(step / 2)) / u128::from(*step);
            format!("{}.{:02} {letter}{unit}", hundredths / 100, hundredths % 100)
        }
        None => format!("{number} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shortened_as_the_stock_tool_does() {
        // From its output.
        for (number, unit, text) in [
            (0, "Bytes", "0 Bytes"),
            (768_433_953, "Bytes", "768.43 MBytes"),
            (1_486_408_973, "Bytes", "1.49 GBytes"),
            (2_254_842_926, "Bytes", "2.25 GBytes"),
            (3_067_600_610, "bps", "3.07 Gbps"),
            (9_001_368_965, "bps", "9.00 Gbps"),
            (1_886_831_161, "Bytes", "1.89 GBytes"),
        ] {
            assert_eq!(short(number, unit), text);
        }
    }

    #[test]
    fn a_measurement_prints_as_the_stock_tool_prints_it() {
        let measured = Measured {
            span: Duration::from_millis(2006),
            download: 0,
            upload: 1_286_263_225,
        };
        let speed = Speed::of(measured, false, false);
        let table = speed.table().grid();
        for row in [
            "Item Name                                             |        Normal View|Simplified View",
            "Time Span for Measurement                             |       00:00:02.006|",
            "Communication Data Volume in Upload Direction         |1,333,837,344 Bytes|    1.33 GBytes",
            "Average Throughput in Upload Direction                |  5,319,391,202 bps|      5.32 Gbps",
        ] {
            assert!(table.contains(row), "{row}\n{table}");
        }
        let doubled = Speed::of(measured, true, true);
        assert_eq!(doubled.upload, 2 * 1_286_263_225);
    }
}
