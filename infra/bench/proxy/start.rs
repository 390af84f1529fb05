//! Measures how much later the first invocation is done if the proxy is the runtime's wrapper.

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::faults::never_applies;
use crate::limits::Check;
use crate::processes::{Runtime, Server};
use crate::statistics::quantile;

const STARTS: usize = 100;
const SIZE: usize = 100;
const LIMIT_MS: f64 = 3.0;
/// A pause, because a proxy ends shortly after its runtime, which must not disturb the next start on the same CPU.
const PAUSE: Duration = Duration::from_millis(5);

/// Starts the runtime with and without the wrapper, alternating.
pub fn measure(proxy: &Path) -> io::Result<Vec<Check>> {
    let api = Server::api(SIZE)?;
    let config = never_applies();
    let (mut bare, mut wrapped) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        bare.push(first_invocation(|| Runtime::at(&api.address, SIZE))?);
        wrapped.push(first_invocation(|| Runtime::wrapped(proxy, &api.address, SIZE, &config))?);
    }
    let (bare, wrapped) = (quantile(&bare, 0.25), quantile(&wrapped, 0.25));
    println!(
        "\nfrom exec to the first invocation done, lower quartile of {STARTS} starts: {bare:.2} ms without the wrapper, \
         {wrapped:.2} ms with it"
    );
    Ok(vec![Check::at_most(LIMIT_MS, " ms", "first invocation: later behind the wrapper", wrapped - bare)])
}

fn first_invocation(start: impl Fn() -> io::Result<Runtime>) -> io::Result<f64> {
    let began = Instant::now();
    let mut runtime = start()?;
    runtime.block(1)?;
    let took = began.elapsed();
    drop(runtime);
    thread::sleep(PAUSE);
    Ok(took.as_secs_f64() * 1000.0)
}
