//! Chooses at random, but repeatably, among the functions that have certain tags.

use crate::model::names::FunctionArn;

/// Returns the functions in the order in which they are drawn. The same seed and functions give the same order, and an
/// added or removed function does not change the order of the others.
#[must_use]
pub fn draw(mut matching: Vec<FunctionArn>, seed: u32) -> Vec<FunctionArn> {
    matching.sort();
    matching.dedup();
    matching.sort_by_cached_key(|arn| ticket(seed, arn.as_str()));
    matching
}

/// Hashes the seed and the name with FNV-1a and the first round of splitmix64's finalizer, so that every bit influences
/// the upper bits, which determine the order.
fn ticket(seed: u32, name: &str) -> u64 {
    let bytes = seed.to_le_bytes();
    let hash = bytes
        .iter()
        .chain(name.as_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::target::Select;

    fn choose(matching: Vec<FunctionArn>, select: Select, seed: u32) -> Vec<FunctionArn> {
        let amount = select.amount(matching.len());
        let mut chosen: Vec<FunctionArn> = draw(matching, seed).into_iter().take(amount).collect();
        chosen.sort();
        chosen
    }

    fn functions(count: usize) -> Vec<FunctionArn> {
        (0..count)
            .filter_map(|n| FunctionArn::try_from(format!("arn:aws:lambda:eu-west-1:123456789012:function:f{n}")).ok())
            .collect()
    }

    #[test]
    fn a_seed_repeats_its_choice_and_another_makes_another() {
        let choice = |seed| choose(functions(100), Select::Percent(10), seed);
        assert_eq!(choice(7).len(), 10);
        assert_eq!(choice(7), choice(7));
        assert_ne!(choice(7), choice(8));
    }

    #[test]
    fn a_seed_makes_the_same_choice_in_every_release() {
        // An update of snapback must not change the draw of a plan that users have agreed to.
        let names = |seed| {
            let chosen = choose(functions(100), Select::Count(6), seed);
            chosen.iter().map(|arn| arn.name().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(0), ["f39", "f52", "f54", "f55", "f71", "f92"]);
        assert_eq!(names(7), ["f14", "f35", "f62", "f71", "f80", "f91"]);
        assert_eq!(names(u32::MAX), ["f30", "f59", "f72", "f81", "f86", "f91"]);
    }

    #[test]
    fn every_function_is_chosen_by_some_seed() {
        let all = functions(10);
        for function in &all {
            assert!((0..200).any(|seed| choose(all.clone(), Select::Count(1), seed).contains(function)), "{function}");
        }
    }
}
