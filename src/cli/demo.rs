#[derive(Debug, clap::Args)]
pub struct Demo {}
impl Demo {
    pub fn run(self, _: &mut super::Output) -> Result<(), super::Failure> {
        Ok(())
    }
}
