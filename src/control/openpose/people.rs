//! Which joints belong to one person: limbs are the pairs of joints that the fields between them support best, and limbs that share
//! a joint are put together (Cao et al. 2017).

use super::peaks::{Peak, PARTS};
use crate::control::pixels::Plane;

/// The parts at the ends of each limb: nose, neck, right shoulder, elbow, wrist, left ones, right hip, knee, ankle, left ones, right
/// eye, left eye, right ear, left ear. The last two limbs only join what is there.
pub(super) const LIMBS: [[usize; 2]; 19] = [
    [1, 2],
    [1, 5],
    [2, 3],
    [3, 4],
    [5, 6],
    [6, 7],
    [1, 8],
    [8, 9],
    [9, 10],
    [1, 11],
    [11, 12],
    [12, 13],
    [1, 0],
    [0, 14],
    [14, 16],
    [0, 15],
    [15, 17],
    [2, 16],
    [5, 17],
];
/// The first of the two channels of each limb's field.
const FIELDS: [usize; 19] = [12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26];
/// Limbs that may begin a person.
const BEGINNING: usize = 17;
/// Places along a limb that are looked at, and how many of them must support it.
const SAMPLES: usize = 10;
const SUPPORTING: usize = 9;
/// What supports a limb at a place.
const LEAST_SUPPORT: f64 = 0.05;
/// What a person has at least: parts, and score for each of them.
const LEAST_PARTS: usize = 4;
const LEAST_SCORE: f64 = 0.4;

/// A person: the places of its parts, in pixels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Body {
    pub parts: [Option<Peak>; PARTS],
    pub score: f64,
    pub count: usize,
}

/// A person that grows: indices of peaks, counted over all parts.
#[derive(Debug, Clone)]
struct Person {
    parts: [Option<usize>; PARTS],
    score: f64,
    count: usize,
}

/// Two peaks that a limb joins, and how well.
#[derive(Debug, Clone, Copy)]
struct Connection {
    ends: [usize; 2],
    score: f64,
}

/// People of the peaks of all parts and the fields of limbs.
pub(super) fn assemble(peaks: &[Vec<Peak>], fields: &Plane) -> Vec<Body> {
    let all: Vec<Peak> = peaks.iter().flatten().copied().collect();
    let mut starts = vec![0; peaks.len()];
    for part in 1..peaks.len() {
        starts[part] = starts[part - 1] + peaks[part - 1].len();
    }
    let mut people: Vec<Person> = Vec::new();
    for (limb, ends) in LIMBS.iter().enumerate() {
        for connection in connections(limb, peaks, &starts, fields) {
            join(&mut people, &connection, *ends, limb < BEGINNING, &all);
        }
    }
    people.retain(|person| person.count >= LEAST_PARTS && person.score / person.count as f64 >= LEAST_SCORE);
    let body = |person: Person| Body {
        parts: person.parts.map(|part| part.map(|index| all[index])),
        score: person.score,
        count: person.count,
    };
    people.into_iter().map(body).collect()
}

/// The best pairs of peaks for a limb; each peak is in one of them at most.
fn connections(limb: usize, peaks: &[Vec<Peak>], starts: &[usize], fields: &Plane) -> Vec<Connection> {
    let [from, to] = LIMBS[limb];
    let mut possible = Vec::new();
    for (i, a) in peaks[from].iter().enumerate() {
        for (j, b) in peaks[to].iter().enumerate() {
            possible.extend(support(a, b, FIELDS[limb], fields).map(|score| (i, j, score)));
        }
    }
    possible.sort_by(|a, b| b.2.total_cmp(&a.2));
    let mut taken: Vec<(usize, usize, f64)> = Vec::new();
    for pair in possible {
        if taken.iter().all(|other| other.0 != pair.0 && other.1 != pair.1) {
            taken.push(pair);
        }
    }
    taken.into_iter().map(|(i, j, score)| Connection { ends: [starts[from] + i, starts[to] + j], score }).collect()
}

/// How well the field supports a limb between two peaks; nothing if it does not. Limbs longer than half the picture are worse.
fn support(a: &Peak, b: &Peak, channel: usize, fields: &Plane) -> Option<f64> {
    let (dx, dy) = (b.x as f64 - a.x as f64, b.y as f64 - a.y as f64);
    let length = (dx * dx + dy * dy).sqrt().max(0.001);
    let along = |step: usize, from: usize, distance: f64| {
        let place = from as f64 + distance / (SAMPLES - 1) as f64 * step as f64;
        place.round_ties_even() as usize
    };
    let (mut sum, mut supporting) = (0.0, 0);
    for step in 0..SAMPLES {
        let at = (along(step, a.y, dy) * fields.width + along(step, a.x, dx)) * fields.channels + channel;
        let here = f64::from(fields.values[at]) * dx / length + f64::from(fields.values[at + 1]) * dy / length;
        sum += here;
        supporting += usize::from(here > LEAST_SUPPORT);
    }
    let score = sum / SAMPLES as f64 + (0.5 * fields.height as f64 / length - 1.0).min(0.0);
    (supporting >= SUPPORTING && score > 0.0).then_some(score)
}

/// Adds a limb to the person that has one of its ends, makes one person of two that have one each, or begins one.
fn join(people: &mut Vec<Person>, connection: &Connection, [from, to]: [usize; 2], begins: bool, all: &[Peak]) {
    let [a, b] = connection.ends;
    let has = |person: &Person| person.parts[from] == Some(a) || person.parts[to] == Some(b);
    let mut found = people.iter().enumerate().filter(|(_, person)| has(person)).map(|(index, _)| index);
    match (found.next(), found.next()) {
        (None, _) if begins => {
            let mut parts = [None; PARTS];
            (parts[from], parts[to]) = (Some(a), Some(b));
            let score = all[a].score + all[b].score + connection.score;
            people.push(Person { parts, score, count: 2 });
        }
        (None, _) => {}
        (Some(one), None) if people[one].parts[to] == Some(b) => {}
        (Some(one), Some(other)) if are_apart(&people[one], &people[other]) => {
            let gone = people.remove(other);
            let person = &mut people[one];
            for (part, new) in person.parts.iter_mut().zip(gone.parts) {
                *part = part.or(new);
            }
            person.score += gone.score + connection.score;
            person.count += gone.count;
        }
        (Some(one), _) => {
            let person = &mut people[one];
            person.parts[to] = Some(b);
            person.score += all[b].score + connection.score;
            person.count += 1;
        }
    }
}

fn are_apart(a: &Person, b: &Person) -> bool {
    a.parts.iter().zip(&b.parts).all(|(a, b)| a.is_none() || b.is_none())
}
