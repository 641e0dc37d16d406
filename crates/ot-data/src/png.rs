//! PNG images: grey and colour, with or without alpha, 8 and 16 bits, read; 8 bits, written.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek};
use std::path::Path;

use ::png::{BitDepth, ColorType, Decoder, DecodingError, EncodingError, Limits, Transformations};
use ndarray::{Array2, ArrayD};

use crate::input::{CHUNK, MOST_EXPANSION};
use crate::{Array, DataError, Loaded};

const FORMAT: &str = "PNG image";

/// Reads an image as it is stored: `u8` or `u16`, shape `height×width` for grey and
/// `height×width×channels` otherwise (2 grey and alpha, 3 RGB, 4 RGBA). Palettes become RGB, depths
/// below eight bits become eight.
///
/// # Errors
/// A missing file, one that is no PNG, a damaged or truncated one, or an image that its file is too
/// short to hold.
pub fn read(path: impl AsRef<Path>) -> Result<Loaded, DataError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|e| DataError::io(path, "open", e))?;
    let length = file
        .metadata()
        .map_err(|e| DataError::io(path, "read", e))?
        .len();
    read_from(BufReader::with_capacity(CHUNK, file), length, path)
}

/// Reads an image from anything that gives the bytes of a PNG file; `length` is their number, and an
/// image that cannot be in there is refused before anything is allocated. `path` is what errors call
/// the source.
///
/// # Errors
/// As [`read`](fn@read).
pub fn read_from(
    source: impl BufRead + Seek,
    length: u64,
    path: impl AsRef<Path>,
) -> Result<Loaded, DataError> {
    let path = path.as_ref();
    let most = length.saturating_mul(MOST_EXPANSION);
    let limits = Limits {
        bytes: usize::try_from(most).unwrap_or(usize::MAX).min(1 << 26),
    };
    let mut decoder = Decoder::new_with_limits(source, limits);
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(|e| decoding_error(e, path))?;
    let (width, height) = reader.info().size();
    let (width, height) = (width as usize, height as usize);
    let (colour, depth) = reader.output_color_type();

    let too_large = || DataError::TooLarge {
        path: path.to_owned(),
        shape: vec![height as u64, width as u64, colour.samples() as u64],
    };
    let size = reader.output_buffer_size().ok_or_else(too_large)?;
    if size as u64 > most {
        return Err(DataError::Truncated {
            path: path.to_owned(),
            what: "pixels",
            expected: (size as u64).div_ceil(MOST_EXPANSION),
            found: length,
        });
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| too_large())?;
    bytes.resize(size, 0);
    reader
        .next_frame(&mut bytes)
        .map_err(|e| decoding_error(e, path))?;

    let shape = match colour.samples() {
        1 => vec![height, width],
        channels => vec![height, width, channels],
    };
    let array = match depth {
        BitDepth::Sixteen => {
            let (pairs, _) = bytes.as_chunks();
            let samples = pairs.iter().map(|&pair| u16::from_be_bytes(pair)).collect();
            ArrayD::from_shape_vec(shape, samples).map(Array::U16)
        }
        _ => ArrayD::from_shape_vec(shape, bytes).map(Array::U8),
    };
    let array = array.map_err(|_| too_large())?;
    Ok(Loaded {
        array,
        path: path.to_owned(),
    })
}

/// An image as a cloud of colours.
#[derive(Debug, Clone, PartialEq)]
pub struct Photo {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// One colour a line, pixels in C order: red, green and blue in [0, 1].
    pub colours: Array2<f64>,
}

/// Reads an image as RGB colours in [0, 1]; grey becomes three equal channels, alpha is left out.
///
/// # Errors
/// As [`read`](fn@read).
pub fn read_photo(path: impl AsRef<Path>) -> Result<Photo, DataError> {
    let Loaded { array, path } = read(path)?;
    let full = if array.dtype() == crate::Dtype::U16 {
        65535.0
    } else {
        255.0
    };
    let (height, width, channels) = match *array.shape() {
        [h, w] => (h, w, 1),
        [h, w, c] => (h, w, c),
        _ => {
            return Err(DataError::malformed(
                &path,
                FORMAT,
                "an image has rows and columns",
            ));
        }
    };
    let samples = array.into_f64();
    let samples = samples.as_slice().unwrap_or_default();
    let mut colours = Vec::with_capacity(3 * height * width);
    for pixel in samples.chunks_exact(channels) {
        let rgb = if channels < 3 {
            [pixel[0]; 3]
        } else {
            [pixel[0], pixel[1], pixel[2]]
        };
        colours.extend(rgb.map(|sample| sample / full));
    }
    let colours = Array2::from_shape_vec((height * width, 3), colours)
        .map_err(|_| DataError::malformed(&path, FORMAT, "every pixel is there"))?;
    Ok(Photo {
        height,
        width,
        colours,
    })
}

/// Writes an 8-bit image: shape `height×width` for grey, `height×width×channels` for 1 (grey), 2 (grey
/// and alpha), 3 (RGB) or 4 (RGBA) channels, samples in C order.
///
/// # Errors
/// [`WrongShape`](DataError::WrongShape) for other shapes, and for one that has not as many samples as
/// given; [`Io`](DataError::Io).
pub fn write(path: impl AsRef<Path>, shape: &[usize], samples: &[u8]) -> Result<(), DataError> {
    let path = path.as_ref();
    crate::npy::check_shape(shape, samples.len(), path)?;
    let wrong = || DataError::WrongShape {
        path: path.to_owned(),
        shape: shape.to_vec(),
        expected: "height × width [× 1 to 4 channels]",
    };
    let (height, width, channels) = match *shape {
        [h, w] => (h, w, 1),
        [h, w, c] => (h, w, c),
        _ => return Err(wrong()),
    };
    let colour = match channels {
        1 => ColorType::Grayscale,
        2 => ColorType::GrayscaleAlpha,
        3 => ColorType::Rgb,
        4 => ColorType::Rgba,
        _ => return Err(wrong()),
    };
    let (Ok(width), Ok(height)) = (u32::try_from(width), u32::try_from(height)) else {
        return Err(wrong());
    };
    let file = File::create(path).map_err(|e| DataError::io(path, "create", e))?;
    let mut encoder = ::png::Encoder::new(BufWriter::with_capacity(CHUNK, file), width, height);
    encoder.set_color(colour);
    encoder.set_depth(BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut w| {
        w.write_image_data(samples)?;
        w.finish()
    });
    written.map_err(|e| match e {
        EncodingError::IoError(e) => DataError::io(path, "write", e),
        _ => wrong(),
    })
}

fn decoding_error(error: DecodingError, path: &Path) -> DataError {
    let rule = match error {
        DecodingError::IoError(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => {
            return DataError::io(path, "read", e);
        }
        DecodingError::IoError(_) => "the file goes on to its end chunk",
        DecodingError::LimitsExceeded => "no chunk is larger than the file can hold",
        _ => "signature, chunks, checksums and pixels are as the format says",
    };
    DataError::malformed(path, FORMAT, rule)
}
