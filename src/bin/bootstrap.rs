//! Every Lambda function of the control plane, in one binary: the function's `Handler` setting names the task.

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Below 1,769 MB a function has less than one CPU: one thread is enough, and starts sooner.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(snapback::task::serve())
}
