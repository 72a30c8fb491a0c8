//! The picture's size.

use clap::Args;

use super::values;

/// The options of the heading "Image".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Image")]
pub struct ImageArgs {
    /// Width, a multiple of 8 from 64 to 4096 [default: the model's, or the input's].
    #[arg(short = 'W', long, value_name = "PX", allow_negative_numbers = true, value_parser = values::side)]
    pub width: Option<usize>,

    /// Height, likewise [default: the model's, or the input's].
    #[arg(short = 'H', long, value_name = "PX", allow_negative_numbers = true, value_parser = values::side)]
    pub height: Option<usize>,

    /// Size before cropping, as SDXL is told [default: the picture's].
    #[arg(long, value_name = "WxH", value_parser = values::original_size)]
    pub original_size: Option<(usize, usize)>,

    /// Left and top of that crop [default: 0,0].
    #[arg(long, value_name = "X,Y", allow_negative_numbers = true, value_parser = values::crop)]
    pub crop: Option<(usize, usize)>,
}
