//! Shapes and words as SVG. Words are put where no others are.
//! Layer 5.

use std::fmt::Write as _;

/// The colours of regions, on light and on dark ground (Okabe, Ito, *Color Universal Design*, 2008; the last one is ours).
const COLORS: [(&str, &str); 7] = [
    ("#0072b2", "#4db2ec"),
    ("#c05000", "#ff9a52"),
    ("#007f5f", "#3ecfa4"),
    ("#a8518a", "#e59ccb"),
    ("#8f6b00", "#e6b733"),
    ("#4a6f8a", "#9cc4de"),
    ("#6f4fc0", "#b49cf5"),
];

/// What is drawn.
pub(super) struct Paper {
    wide: f64,
    body: String,
    /// Where words stand: left, top, right, bottom.
    taken: Vec<[f64; 4]>,
}

impl Paper {
    pub(super) const fn new(wide: f64) -> Self {
        Self { wide, body: String::new(), taken: Vec::new() }
    }

    pub(super) fn finish(self, high: f64) -> String {
        let (wide, high) = (self.wide.ceil(), high.ceil());
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\" viewBox=\"0 0 {wide} {high}\" \
             font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n<style>\n{}</style>\n",
            style()
        );
        svg.push_str("<defs>\n");
        let head =
            "refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\"";
        for region in 0..COLORS.len() {
            let _ = writeln!(
                svg,
                "<marker id=\"head{region}\" {head}><path class=\"f{region}\" d=\"M0 0L8 4L0 8z\"/></marker>"
            );
            let _ = writeln!(
                svg,
                "<marker id=\"ackhead{region}\" {head}><path class=\"ackfill\" d=\"M2 1.5L8 4L2 6.5z\"/></marker>"
            );
        }
        let _ = writeln!(svg, "</defs>\n<rect class=\"ground\" width=\"100%\" height=\"100%\"/>");
        svg + &self.body + "</svg>\n"
    }

    pub(super) fn line(&mut self, (x, y): (f64, f64), (to_x, to_y): (f64, f64), class: &str) {
        let _ = writeln!(self.body, "<path class=\"{class}\" d=\"M{x:.1} {y:.1}L{to_x:.1} {to_y:.1}\"/>");
    }

    /// A line with a head, which ends a little before its end.
    pub(super) fn arrow(&mut self, from: (f64, f64), to: (f64, f64), class: &str, head: &str, color: usize) {
        let ((x, y), (to_x, to_y)) = (from, to);
        let length = (to_x - x).hypot(to_y - y).max(1.0);
        let short = 1.0 - 3.0 / length;
        let (to_x, to_y) = (x + (to_x - x) * short, y + (to_y - y) * short);
        let color = color % COLORS.len();
        let _ = writeln!(
            self.body,
            "<path class=\"{class}\" d=\"M{x:.1} {y:.1}L{to_x:.1} {to_y:.1}\" marker-end=\"url(#{head}{color})\"/>"
        );
    }

    pub(super) fn band(&mut self, x: f64, y: f64, wide: f64, high: f64, class: &str) {
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" rx=\"1.5\"/>"
        );
    }

    pub(super) fn square(&mut self, x: f64, y: f64, half: f64, class: &str) {
        self.band(x - half, y - half, 2.0 * half, 2.0 * half, class);
    }

    pub(super) fn diamond(&mut self, x: f64, y: f64, half: f64, class: &str) {
        self.shape(
            &format!("M{:.1} {y:.1}l{half} -{half}l{half} {half}l-{half} {half}z", x - half),
            &format!("edge {class}"),
        );
    }

    pub(super) fn triangle(&mut self, x: f64, y: f64, class: &str) {
        self.shape(&format!("M{:.1} {:.1}l11 6.5l-11 6.5z", x - 2.0, y - 6.5), &format!("edge {class}"));
    }

    pub(super) fn cross(&mut self, x: f64, y: f64, half: f64, class: &str) {
        let (left, top, full) = (x - half, y - half, 2.0 * half);
        self.shape(&format!("M{left:.1} {top:.1}l{full} {full}m0 -{full}l-{full} {full}"), class);
    }

    pub(super) fn warning(&mut self, x: f64, y: f64) {
        self.shape(&format!("M{x:.1} {:.1}l6 10.5h-12z", y - 6.0), "warning");
    }

    /// A number in a circle; beside another one, if it would cover it.
    pub(super) fn badge(&mut self, (x, y): (f64, f64), number: usize, class: &str) {
        let half = if number > 99 { 12.0 } else { 9.0 };
        let (mut at_x, mut at_y) = (x, y);
        for turn in 0..12 {
            let place = [at_x - half, at_y - 9.0, at_x + half, at_y + 9.0];
            if !self.is_taken(place) {
                break;
            }
            // To the right three times, then up and again.
            (at_x, at_y) = if turn % 3 == 2 { (x, at_y - 19.0) } else { (at_x + 2.0 * half + 1.0, at_y) };
        }
        self.taken.push([at_x - half, at_y - 9.0, at_x + half, at_y + 9.0]);
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{}\" height=\"18\" rx=\"9\"/>",
            at_x - half,
            at_y - 9.0,
            2.0 * half
        );
        let _ = writeln!(
            self.body,
            "<text class=\"number\" text-anchor=\"middle\" x=\"{at_x:.1}\" y=\"{:.1}\">{number}</text>",
            at_y + 4.0
        );
    }

    pub(super) fn text(&mut self, x: f64, y: f64, class: &str, says: &str) {
        let _ = writeln!(self.body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(says));
    }

    pub(super) fn middle(&mut self, x: f64, y: f64, class: &str, says: &str) {
        let says = escaped(says);
        let _ = writeln!(
            self.body,
            "<text class=\"{class}\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{says}</text>"
        );
    }

    /// Words that are left out where others stand.
    pub(super) fn note(&mut self, (x, y): (f64, f64), class: &str, says: &str) {
        let place = [x, y - 10.0, x + wide(says), y + 2.0];
        if place[2] < self.wide && !self.is_taken(place) {
            self.taken.push(place);
            self.text(x, y, class, says);
        }
    }

    /// Words at a line from top to bottom: on its left where there is no room on its right.
    pub(super) fn note_left_if_needed(&mut self, (x, y): (f64, f64), class: &str, says: &str) {
        let width = wide(says) * 1.15;
        let left = if x + width > self.wide - 10.0 { x - width } else { x - 4.0 };
        let mut place = [left, y - 12.0, left + width, y + 3.0];
        while self.is_taken(place) {
            place = [place[0], place[1] - 15.0, place[2], place[3] - 15.0];
        }
        self.taken.push(place);
        self.text(left, place[3] - 3.0, class, says);
    }

    fn shape(&mut self, path: &str, class: &str) {
        let _ = writeln!(self.body, "<path class=\"{class}\" d=\"{path}\"/>");
    }

    fn is_taken(&self, [left, top, right, bottom]: [f64; 4]) -> bool {
        self.taken.iter().any(|[l, t, r, b]| left < *r && *l < right && top < *b && *t < bottom)
    }
}

fn style() -> String {
    let mut style = "\
text{fill:#1d2433}.title{font-size:19px;font-weight:600}.strong{font-size:15px;font-weight:600}.small{font-size:13px}
.tiny{font-size:11px}.name{font-size:16px;font-weight:600}.number{font-size:11px;font-weight:600;fill:#fff}
.faint{fill:#5d6678}.ground{fill:#fff}path{fill:none}.axis{stroke:#5d6678}
.down{stroke:#b9c0cc;stroke-dasharray:2 5}.up{stroke-width:3.5}.opening{stroke-width:1.5}
.zombie{stroke-width:2;stroke-dasharray:5 3}.arrow{stroke-width:1.5}.ack{stroke:#b9c0cc;stroke-width:1}.ackfill{fill:#97a0b0}
.seal{fill:#1d2433}.edge{stroke:#fff;stroke-width:1.2}.gone{stroke:#c2182b;stroke-width:3.2}
.endedmark{stroke:#5d6678;stroke-width:2.5}.cut{fill:#c2182b;fill-opacity:.18}.cuttext{fill:#a01223}
.warning{fill:#e08600;stroke:#fff;stroke-width:1}.faulttext{fill:#8a5200}.badge{fill:#3d4a66}.badfault{fill:#b35c00}
.fail{stroke:#c2182b;stroke-width:2}.failtext{fill:#c2182b}.quiet{stroke:#5d6678;stroke-dasharray:6 4}.quiettext{fill:#5d6678}
"
    .to_owned();
    let mut dark = "\
text{fill:#e6e9f0}.faint,.quiettext{fill:#a3adbf}.ground{fill:#12161f}.axis,.quiet,.endedmark{stroke:#a3adbf}
.down,.ack{stroke:#4a5366}.ackfill{fill:#6d788c}.seal{fill:#e6e9f0}.edge,.warning{stroke:#12161f}
.gone,.fail{stroke:#ff6b78}.failtext,.cuttext{fill:#ff8c96}.cut{fill:#ff6b78;fill-opacity:.25}.faulttext{fill:#ffbe5c}
.badge{fill:#566385}.number{fill:#fff}
"
    .to_owned();
    for (region, (light, on_dark)) in COLORS.iter().enumerate() {
        let _ = writeln!(style, ".s{region}{{stroke:{light}}}.f{region},.c{region}{{fill:{light}}}");
        let _ = writeln!(dark, ".s{region}{{stroke:{on_dark}}}.f{region},.c{region}{{fill:{on_dark}}}");
    }
    format!("{style}@media (prefers-color-scheme:dark){{\n{dark}}}\n")
}

/// How wide small words are, about.
fn wide(says: &str) -> f64 {
    6.1 * says.chars().count() as f64 + 4.0
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            _ if sign.is_ascii_control() => escaped.push(' '),
            _ if sign.is_ascii() => escaped.push(sign),
            _ => drop(write!(escaped, "&#{};", u32::from(sign))),
        }
    }
    escaped
}

/// At most so many signs.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(4)).chain(" ...".chars()).collect()
}

/// Lines of at most so many signs, broken between words where that can be.
pub(super) fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let word = cut(word, most);
        let line = lines.last_mut().unwrap_or_else(|| unreachable!("there is a line"));
        if line.is_empty() {
            line.push_str(&word);
        } else if line.chars().count() + 1 + word.chars().count() <= most {
            line.push(' ');
            line.push_str(&word);
        } else {
            lines.push(word);
        }
    }
    lines
}
