use clap::Subcommand;
#[derive(Debug, Subcommand)]
pub enum Customers {
    Show,
}
impl Customers {
    pub fn run(self, _: Option<&std::path::Path>, _: &mut super::Output) -> Result<(), super::Failure> {
        Ok(())
    }
}
